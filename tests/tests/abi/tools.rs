//! Compilers and programs, the installed library, a model: what the tests here stand on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Every warning counts, and some are only found with optimisation.
pub(crate) const STRICT: &[&str] = &["-Wall", "-Wextra", "-pedantic", "-Werror", "-O1"];

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A folder that survives between runs, so that what is built there is not built again.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether a program is here; says so if not.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: {program} is not here");
    }
    found
}

/// Runs a command that must succeed; what it printed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    stdout.into_owned()
}

/// The library, installed by its documented command, from the build of the whole workspace.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = folder("prefix");
        // all packages: one alone has dependencies with fewer features, which would all be compiled again
        run(outside(Command::new(env!("CARGO")).current_dir(root()).arg("build")));
        let mut make = Command::new("make");
        make.current_dir(root()).args(["-C", "bindings/c", "install", "PROFILE=dev"]);
        make.arg(format!("STATIC_LIBS={}", static_libs())).arg(format!("PREFIX={}", prefix.display()));
        run(outside(&mut make));
        prefix
    })
}

/// What cargo told this test is not for the cargo that builds the library.
fn outside(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command
}

/// What a static library of Rust needs, as the compiler says: here no crate adds to it.
fn static_libs() -> String {
    let source = folder("src").join("empty.rs");
    std::fs::write(&source, "").unwrap();
    let mut rustc = Command::new("rustc");
    rustc.args(["--crate-type", "staticlib", "--print", "native-static-libs", "-o"]).arg(folder("bin").join("empty.a"));
    let output = rustc.arg(source).output().unwrap();
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let libs = notes.lines().find_map(|line| line.strip_prefix("note: native-static-libs: "));
    libs.unwrap_or_else(|| panic!("{notes}")).to_owned()
}

/// A small model's file.
pub(crate) fn model() -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| {
        let path = folder("model").join("toy.gguf");
        std::fs::write(&path, gabion_tests::toy::llama().bytes()).unwrap();
        path
    })
}

/// Files of an encoder, a classifier of two labels, and a masked language model.
pub(crate) fn encoders() -> [PathBuf; 3] {
    use gabion_tests::toy::{bert, classifier, fills};
    let toys = [("encoder", bert()), ("classifier", classifier()), ("fills", fills())];
    toys.map(|(name, toy)| {
        let path = folder("model").join(format!("{name}.gguf"));
        std::fs::write(&path, toy.bytes()).unwrap();
        path
    })
}

/// Compiles a C or C++ file of the repository against the installed library; the program.
pub(crate) fn compile(source: &str, standard: &str) -> PathBuf {
    let compiler = if source.ends_with(".c") { "gcc" } else { "g++" };
    compile_with(compiler, source, standard)
}

/// As `compile`, with this compiler.
pub(crate) fn compile_with(compiler: &str, source: &str, standard: &str) -> PathBuf {
    let source = root().join(source);
    let program = folder("bin").join(format!("{}-{standard}", source.file_stem().unwrap().display()));
    let lib = prefix().join("lib");
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).args(STRICT).arg("-g");
    command.arg("-I").arg(prefix().join("include")).arg(&source).arg("-o").arg(&program).arg("-L").arg(&lib);
    run(command.args(["-lgabion", "-pthread"]).arg(format!("-Wl,-rpath,{}", lib.display())));
    program
}

/// A command under valgrind, which fails on any error and any leak. Blocks that are reachable only through pointers into
/// their middle count as kept: that is how `Arc<dyn T>` points.
pub(crate) fn valgrind(program: &Path, args: &[&OsStr]) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--num-callers=30"]);
    command.args(["--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect"]);
    // GPU drivers are not what is tested
    command.env("VK_DRIVER_FILES", "/nowhere").env("VK_ICD_FILENAMES", "/nowhere");
    command.arg(program).args(args);
    command
}
