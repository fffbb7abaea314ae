//! What a token allocates on the CPU: the future that computes it, and nothing for any of its ops.

use gabion::ModelOptions;
use gabion_tests::alloc::calls;
use gabion_tests::{devices, toy};

use super::{session, tokens};

#[test]
fn no_op_allocates() {
    for level in devices::levels() {
        // with one thread all work is this thread's, whose allocations are counted
        for (threads, exact) in [(1, false), (1, true), (2, false)] {
            for toy in [toy::llama(), toy::gemma3(), toy::qwen35()] {
                let model = toy
                    .load(&devices::cpu(level, Some(threads)), &ModelOptions { exact, ..Default::default() })
                    .unwrap();
                let mut session = session(&model, 64, 16);
                session.sync(&tokens(10)).unwrap();
                session.step(1).unwrap();
                assert_eq!(calls(|| session.step(2).unwrap()), 1, "{}, {threads} threads", level.name());
                // its 16 tokens at once, and a longer list of tokens; logits that a checkpoint keeps
                session.clear();
                let batch = calls(|| assert_eq!(session.sync(&tokens(16)).unwrap().computed, 16));
                assert!(batch <= 2 + usize::from(model.spec().arch == "qwen35"), "{}, a batch", level.name());
            }
        }
    }
}
