//! The C interface as programs in C and C++ meet it: installed by its one command, compiled with every warning an error,
//! run, and run under valgrind. The programs lie in `tests/abi`; what they need and do not find here is said and skipped.

mod install;
mod programs;
mod swift;
mod tools;
