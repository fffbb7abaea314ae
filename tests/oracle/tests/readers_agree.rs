//! gabion's reader and gguf-rs see the same keys, values, tensor names, types, offsets and shapes.

use std::path::{Path, PathBuf};

use gabion::gguf::{Header, MmapSource, Owned, Writer, read_header};
use gabion::quant::TensorType;
use gabion_oracle::{DEFECTS, Defect, defect, differences, read};

// the file, not the crate: that one brings the GPU device, which serde_json's other features would compile anew
#[path = "../../src/assets.rs"]
#[allow(dead_code, unreachable_pub)]
mod assets;

use assets::{GEMMA3, QWEN2, SMOLLM2, model, shared_files, tiny_models};

fn ours(path: &Path) -> Header {
    pollster::block_on(read_header(&mut MmapSource::open(path).unwrap())).unwrap()
}

/// Compares one file; returns the defects of gguf-rs that it met.
fn compare(path: &Path) -> Vec<Defect> {
    let header = ours(path);
    let fatal = header.tensors.iter().filter_map(defect).find(|&d| d != Defect::Size);
    match (fatal, read(path)) {
        (Some(defect), Err(_)) => vec![defect],
        (Some(defect), Ok(_)) => panic!("{}: gguf-rs no longer has {defect:?}", path.display()),
        (None, Err(error)) => panic!("{}: gguf-rs fails: {error}", path.display()),
        (None, Ok(theirs)) => {
            let (found, sizes) = differences(&header, &theirs);
            assert!(found.is_empty(), "{}: {found:#?}", path.display());
            vec![Defect::Size; usize::from(sizes > 0)]
        }
    }
}

#[test]
fn on_real_models() {
    for name in [SMOLLM2, GEMMA3, QWEN2] {
        if let Some(path) = model(name) {
            assert_eq!(compare(&path), [], "{name}");
        }
    }
}

#[test]
fn on_vocabularies() {
    for path in shared_files("vocab") {
        assert_eq!(compare(&path), [], "{}", path.display());
    }
}

#[test]
fn on_tiny_models() {
    let files = tiny_models();
    let met: Vec<(&PathBuf, Defect)> =
        files.iter().flat_map(|path| compare(path).into_iter().map(move |d| (path, d))).collect();
    for (path, defect) in &met {
        eprintln!("known defect of gguf-rs, {defect:?}: {}", path.display());
    }
    assert!(met.len() * 4 < files.len().max(1) || files.is_empty(), "most files must really be compared");
}

/// A file of every type that this reader knows, so that the list of defects is complete and true without assets.
#[test]
fn on_every_type() {
    let folder = std::env::temp_dir().join(format!("gabion-oracle-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for ty in (0..64).filter_map(TensorType::from_id) {
        let (rows, cols) = (3u64, ty.block_len() as u64 * 8);
        let data = vec![1; ty.row_bytes(cols as usize) * rows as usize];
        let path = folder.join(format!("{}.gguf", ty.name()));
        let file = Writer::new().key("x.values", Owned::F32s(vec![0.1, f32::NAN, f32::INFINITY]));
        std::fs::write(&path, file.tensor("t", ty, &[cols, rows], data).to_bytes()).unwrap();
        let listed = DEFECTS.iter().filter(|row| row.0 == ty.name()).map(|row| row.1);
        assert_eq!(compare(&path), listed.collect::<Vec<_>>(), "{}", ty.name());
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_comparison_can_fail() {
    let path = std::env::temp_dir().join(format!("gabion-oracle-self-{}.gguf", std::process::id()));
    let write = |n: u32, dims: &[u64]| {
        let file = Writer::new().key("n", Owned::U32(n)).key("list", Owned::I32s(vec![1, n as i32]));
        std::fs::write(&path, file.tensor("t", TensorType::F32, dims, vec![0; 64]).to_bytes()).unwrap();
        (ours(&path), read(&path).unwrap())
    };
    let ((header, same), (_, other)) = (write(5, &[4, 4]), write(6, &[8, 2]));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(differences(&header, &same).0, Vec::<String>::new());
    assert_eq!(differences(&header, &other).0.len(), 3);
}
