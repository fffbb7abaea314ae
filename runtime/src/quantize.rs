//! Rewrites a model file with other tensor types, row by row: memory holds a few MiB, however large the model is.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::gguf::{self, Header, Mapped, MmapSource, Owned, Source, TensorInfo, Value, Writer};
use crate::model::{Progress, ProgressFn, open_files};
use crate::quant::{self, Format, Recipe, Shape, TensorType};

/// Elements that are encoded between two reports of progress.
const CHUNK: usize = 1 << 21;

/// Sizes of a rewritten model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantized {
    /// Bytes of all tensors before.
    pub before: u64,
    /// Bytes of all tensors after.
    pub after: u64,
}

/// Writes the model at `input` (F32, F16 or BF16; of a split model, the first file) to `output` as `recipe` says, with all
/// its keys. `progress` counts bytes of the input; where it says no, or anything fails, there is no output, and what
/// stood there before is untouched. `threads`: 0 for one per core.
pub fn quantize(
    input: &Path,
    output: &Path,
    recipe: Recipe,
    threads: usize,
    progress: ProgressFn<'_>,
) -> Result<Quantized> {
    let mut files = open_files(input)?;
    let header = pollster::block_on(gguf::read_headers(&mut files))?;
    if output.canonicalize().is_ok_and(|output| input.canonicalize().is_ok_and(|input| input == output)) {
        return Err(Error::InvalidArgument("the output would replace the input".into()));
    }
    let threads = if threads > 0 { threads } else { std::thread::available_parallelism().map_or(1, |n| n.get()) };
    let jobs = jobs(&header, recipe)?;
    let mut part = Part::new(output)?;
    let total = header.tensors.iter().map(|tensor| tensor.bytes).sum();
    let mut work = Work { files: &files, out: &mut part, threads, progress, done: Progress { loaded: 0, total } };
    work.run(&header, &jobs, recipe)?;
    part.finish(output)?;
    Ok(Quantized { before: total, after: jobs.iter().map(Job::bytes).sum() })
}

/// What becomes of a tensor.
struct Job<'a> {
    tensor: &'a TensorInfo,
    from: TensorType,
    to: TensorType,
}

impl Job<'_> {
    fn cols(&self) -> usize {
        self.tensor.dims[0] as usize
    }
    fn bytes(&self) -> u64 {
        self.tensor.elements() / self.to.block_len() as u64 * self.to.block_bytes() as u64
    }
}

fn jobs(header: &Header, recipe: Recipe) -> Result<Vec<Job<'_>>> {
    let shape = shape(header);
    header.tensors.iter().map(|tensor| job(tensor, recipe, &shape)).collect()
}

fn job<'a>(tensor: &'a TensorInfo, recipe: Recipe, shape: &Shape) -> Result<Job<'a>> {
    let unsupported = |what: &str| Error::Unsupported(format!("tensor '{}' {what}", tensor.name));
    let from = tensor.ty().ok_or_else(|| unsupported(&format!("has the unknown type {}", tensor.type_id)))?;
    let to = recipe.choose(&tensor.name, &tensor.dims[..tensor.n_dims as usize], shape).unwrap_or(from);
    if to != from && !matches!(from, TensorType::F32 | TensorType::F16 | TensorType::BF16) {
        return Err(unsupported(&format!("is {} already: start from a file of F32, F16 or BF16", from.name())));
    }
    Ok(Job { tensor, from, to })
}

/// What the recipe wants to know, as far as the file says it.
fn shape(header: &Header) -> Shape {
    let arch = header.get("general.architecture").and_then(Value::as_str).unwrap_or_default();
    let number = |key: &str| {
        let value = header.get(&format!("{arch}.{key}")).and_then(Value::as_i64).unwrap_or(0);
        usize::try_from(value).unwrap_or(0)
    };
    Shape {
        layers: number("block_count"),
        group: number("attention.head_count") / number("attention.head_count_kv").max(1),
        tied: header.tensor("output.weight").is_none(),
        falcon: arch == "falcon",
        experts: number("expert_count"),
    }
}

/// A file beside the output, which takes its place when it is whole and is removed when it does not come to that.
struct Part {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Part {
    fn new(output: &Path) -> Result<Self> {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = output.with_file_name(name);
        let file = File::create_new(&path).map_err(|source| failed(&path, source))?;
        Ok(Self { path, file: Some(BufWriter::with_capacity(1 << 20, file)) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let file = self.file.as_mut().expect("it is not finished");
        file.write_all(bytes).map_err(|source| failed(&self.path, source))
    }

    fn finish(mut self, output: &Path) -> Result<()> {
        let file = self.file.take().expect("it is not finished");
        let synced = file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
        synced.and_then(|()| std::fs::rename(&self.path, output)).map_err(|source| failed(output, source))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.file.take());
        // gone already if it was renamed
        let _ = std::fs::remove_file(&self.path);
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Write { what: path.display().to_string(), source }
}

struct Work<'a> {
    files: &'a [MmapSource],
    out: &'a mut Part,
    threads: usize,
    progress: ProgressFn<'a>,
    done: Progress,
}

impl Work<'_> {
    fn run(&mut self, header: &Header, jobs: &[Job<'_>], recipe: Recipe) -> Result<()> {
        let dropped = |key: &str| {
            ["general.file_type", "general.quantization_version"].contains(&key) || key.starts_with("split.")
        };
        let mut file = Writer::new().keys_of(header, dropped);
        file = file.key("general.quantization_version", Owned::U32(2));
        file = file.key("general.file_type", Owned::U32(recipe.file_type()));
        for job in jobs {
            let dims = &job.tensor.dims[..job.tensor.n_dims.max(1) as usize];
            file = file.shape(&job.tensor.name, job.to, dims);
        }
        let head = file.head().map_err(|source| Error::Write { what: "the header".into(), source })?;
        self.out.write(&head)?;
        for job in jobs {
            self.tensor(job)?;
            let padding = job.bytes().next_multiple_of(header.alignment) - job.bytes();
            self.out.write(&vec![0; padding as usize])?;
        }
        Ok(())
    }

    fn tensor(&mut self, job: &Job<'_>) -> Result<()> {
        let bytes = self.bytes_of(job.tensor)?;
        let (cols, row_bytes) = (job.cols(), job.from.row_bytes(job.cols()));
        let rows = (CHUNK / cols.max(1)).max(1);
        if job.from == job.to || row_bytes == 0 {
            return bytes.chunks(CHUNK).try_for_each(|bytes| self.write(bytes, bytes.len()));
        }
        let mut out = vec![0; rows * job.to.row_bytes(cols)];
        for chunk in bytes.chunks(rows * row_bytes) {
            let out = &mut out[..chunk.len() / row_bytes * job.to.row_bytes(cols)];
            if !encode(job, chunk, out, self.threads) {
                return Err(Error::Model(format!(
                    "tensor '{}' has an element that is no finite number",
                    job.tensor.name
                )));
            }
            self.write(out, chunk.len())?;
        }
        Ok(())
    }

    fn bytes_of(&self, tensor: &TensorInfo) -> Result<MappedTensor> {
        let file = self.files[tensor.shard].mapped().expect("a mapped file");
        let range = tensor.offset as usize..(tensor.offset + tensor.bytes) as usize;
        match file.get(range.clone()) {
            Some(_) => Ok(MappedTensor { file, range }),
            None => Err(Error::Model(format!("tensor '{}' ends after its file does", tensor.name))),
        }
    }

    /// Writes what `read` bytes of the input became.
    fn write(&mut self, bytes: &[u8], read: usize) -> Result<()> {
        self.out.write(bytes)?;
        self.done.loaded += read as u64;
        if (self.progress)(self.done) { Ok(()) } else { Err(Error::Cancelled) }
    }
}

/// A tensor's bytes in its mapped file.
struct MappedTensor {
    file: Mapped,
    range: std::ops::Range<usize>,
}

impl std::ops::Deref for MappedTensor {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.file[self.range.clone()]
    }
}

/// Encodes whole rows on several threads. False if an element is not finite.
fn encode(job: &Job<'_>, bytes: &[u8], out: &mut [u8], threads: usize) -> bool {
    let (row, out_row) = (job.from.row_bytes(job.cols()), job.to.row_bytes(job.cols()));
    let share = (bytes.len() / row).div_ceil(threads);
    let format = |ty| quant::format(ty).expect("recipes name types that have encoders");
    let (from, to) = (format(job.from), format(job.to));
    std::thread::scope(|scope| {
        let parts = bytes.chunks(share * row).zip(out.chunks_mut(share * out_row));
        let workers: Vec<_> =
            parts.map(|(bytes, out)| scope.spawn(move || encode_rows(from, to, job.cols(), bytes, out))).collect();
        workers.into_iter().all(|worker| worker.join().unwrap_or(false))
    })
}

fn encode_rows(from: &dyn Format, to: &dyn Format, cols: usize, bytes: &[u8], out: &mut [u8]) -> bool {
    let mut x = vec![0.0; cols];
    let (row, out_row) = (from.ty().row_bytes(cols), to.ty().row_bytes(cols));
    bytes.chunks_exact(row).zip(out.chunks_exact_mut(out_row)).all(|(bytes, out)| {
        from.dequantize(bytes, &mut x);
        x.iter().all(|x| x.is_finite()) && to.quantize(&x, out)
    })
}
