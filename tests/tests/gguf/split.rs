//! Split sets: shards that are missing, doubled, in another order or of another set.

use std::path::Path;

use gabion::gguf::{GgufError, Header, Owned, Writer, join, shard_path};
use gabion::quant::TensorType;

use super::parse;

/// Shard `no` of `count` with tensors of these names; announces `total` tensors.
fn shard(no: u16, count: u16, total: i32, names: &[&str]) -> Header {
    let start = Writer::new()
        .key("split.no", Owned::U16(no))
        .key("split.count", Owned::U16(count))
        .key("split.tensors.count", Owned::I32(total));
    let file = names.iter().fold(start, |file, name| file.tensor(name, TensorType::I8, &[32], vec![no as u8; 32]));
    parse(&file.to_bytes()).unwrap()
}

fn refused(headers: Vec<Header>, says: &str) {
    match join(headers) {
        Err(error @ (GgufError::Split(_) | GgufError::Tensor { .. } | GgufError::Key { .. })) => {
            assert!(error.to_string().contains(says), "{error} lacks '{says}'");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_set_joins() {
    let set = vec![shard(0, 3, 3, &[]), shard(1, 3, 3, &["a", "b"]), shard(2, 3, 3, &["c"])];
    assert_eq!(set[0].shard_count(), Ok(3));
    let joined = join(set).unwrap();
    let places: Vec<(&str, usize)> = joined.tensors.iter().map(|t| (t.name.as_str(), t.shard)).collect();
    assert_eq!(places, [("a", 1), ("b", 1), ("c", 2)]);
    assert_eq!(joined.tensor("c").map(|t| t.shard), Some(2));
}

#[test]
fn a_single_file_is_a_set_of_one() {
    let plain = parse(&Writer::new().to_bytes()).unwrap();
    assert_eq!(plain.shard_count(), Ok(1));
    assert!(join(vec![plain]).is_ok());
    assert!(join(vec![shard(0, 1, 1, &["a"])]).is_ok());
    refused(vec![], "no file");
}

#[test]
fn wrong_sets_are_refused() {
    refused(vec![shard(0, 3, 2, &["a"]), shard(1, 3, 2, &["b"])], "not shard 1 of 2");
    refused(vec![shard(0, 2, 2, &["a"]), shard(0, 2, 2, &["b"])], "not shard 2 of 2");
    refused(vec![shard(1, 2, 2, &["a"]), shard(0, 2, 2, &["b"])], "not shard 1 of 2");
    refused(vec![shard(0, 2, 2, &["a"]), shard(1, 3, 2, &["b"])], "not shard 2 of 2");
    refused(vec![shard(0, 2, 2, &["a"]), shard(1, 2, 2, &["a"])], "twice");
    refused(vec![shard(0, 2, 3, &["a"]), shard(1, 2, 3, &["b"])], "3 announced");
    refused(vec![shard(0, 2, -1, &["a"]), shard(1, 2, -1, &["b"])], "split.tensors.count");
    refused(vec![shard(0, 2, 2, &["a"]), parse(&Writer::new().to_bytes()).unwrap()], "not shard 2 of 2");
}

#[test]
fn counts_are_bounded_and_the_first_shard_comes_first() {
    assert!(matches!(shard(0, 65535, 0, &[]).shard_count(), Err(GgufError::Limit { limit: 1024, .. })));
    assert!(matches!(shard(1, 2, 0, &[]).shard_count(), Err(GgufError::Split(_))));
    let text = parse(&Writer::new().key("split.count", Owned::String("2".into())).to_bytes()).unwrap();
    assert!(matches!(text.shard_count(), Err(GgufError::Key { .. })));
}

#[test]
fn names_come_from_the_first_path_alone() {
    let first = Path::new("some/dir/model-00001-of-00003.gguf");
    let second = shard_path(first, 1, 3).unwrap();
    assert_eq!(second, Path::new("some/dir/model-00002-of-00003.gguf"));
    for other in ["model.gguf", "model-00001-of-00004.gguf", "model-00002-of-00003.gguf", ".."] {
        assert!(matches!(shard_path(Path::new(other), 1, 3), Err(GgufError::Split(_))), "{other}");
    }
}

/// Shards on disk, through `Model::open`: a missing sibling is an I/O error that names it.
#[test]
fn a_missing_file_is_named() {
    let folder = std::env::temp_dir().join(format!("gabion-split-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let first = folder.join("m-00001-of-00002.gguf");
    let file = Writer::new().key("split.no", Owned::U16(0)).key("split.count", Owned::U16(2));
    std::fs::write(&first, file.to_bytes()).unwrap();
    let options = gabion::RuntimeOptions { device: "cpu".into(), threads: Some(1), level: None };
    let runtime = gabion::Runtime::new(&options).unwrap();
    let error = gabion::Model::open(&first, &runtime, &Default::default(), &mut |_| true).err().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(error, gabion::Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("m-00002-of-00002.gguf"), "{error}");
}
