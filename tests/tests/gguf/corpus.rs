//! The corpus of malformed headers, each read in every way.

use std::time::{Duration, Instant};

use gabion::Error;
use gabion::gguf::{BytesSource, GgufError, Header, read_header};
use gabion_tests::alloc::peak;
use gabion_tests::hostile::{Case, headers};

use super::{CONSTANT, FACTOR, Plain, parse, shown, variant};

/// Trailing bytes after a file: tolerated, and no help to a file that lies (unless it only lacked bytes).
const TRAILING: usize = 64;

fn check(case: &Case, way: &str, result: Result<Header, GgufError>) {
    match result {
        Ok(_) => assert_eq!(case.error, "", "{} ({way}): accepted", case.name),
        Err(error) => {
            assert_eq!(variant(&error), case.error, "{} ({way}): {error}", case.name);
            assert!(error.to_string().contains(case.says), "{} ({way}): {error} lacks '{}'", case.name, case.says);
        }
    }
}

fn through_source(source: &mut impl gabion::gguf::Source) -> Result<Header, GgufError> {
    pollster::block_on(read_header(source)).map_err(|error| match error {
        Error::Gguf(error) => error,
        other => panic!("not a GGUF error: {other}"),
    })
}

#[test]
fn every_case_gives_its_error_in_every_way() {
    for case in headers() {
        check(&case, "bytes", parse(&case.bytes));
        check(&case, "mapped source", through_source(&mut BytesSource::new(case.bytes.clone())));
        check(&case, "ranges, known length", through_source(&mut Plain::new(&case.bytes, true)));
        check(&case, "stream, unknown length", through_source(&mut Plain::new(&case.bytes, false)));
    }
}

#[test]
fn trailing_bytes_change_nothing() {
    for case in headers().into_iter().filter(|case| case.error != "Truncated") {
        if case.says == "past the end" || case.name.contains("one element short") {
            continue; // those only lacked bytes
        }
        let longer = [&case.bytes[..], &[0; TRAILING]].concat();
        check(&case, "trailing bytes", parse(&longer));
    }
}

#[test]
fn memory_is_bounded_by_the_file() {
    for case in headers() {
        let limit = FACTOR * case.bytes.len() + CONSTANT;
        let (used, _) = peak(|| parse(&case.bytes).is_ok());
        assert!(used <= limit, "{}: {used} bytes for a file of {}", case.name, case.bytes.len());
        // a source's own copy and a doubled buffer come on top, and the first read's size
        let (used, _) = peak(|| through_source(&mut Plain::new(&case.bytes, false)).is_ok());
        assert!(used <= limit + 4 * case.bytes.len(), "{}: {used} bytes through a stream", case.name);
    }
}

#[test]
fn time_is_bounded() {
    for case in headers() {
        let start = Instant::now();
        let _ = parse(&case.bytes);
        assert!(start.elapsed() < Duration::from_secs(1), "{} took {:?}", case.name, start.elapsed());
    }
}

#[test]
fn sound_cases_read_the_same_again() {
    for case in headers().iter().filter(|case| case.error.is_empty()) {
        let header = parse(&case.bytes).unwrap();
        assert_eq!(
            shown(&header),
            shown(&through_source(&mut Plain::new(&case.bytes, false)).unwrap()),
            "{}",
            case.name
        );
    }
}

#[test]
fn the_check_itself_can_fail() {
    let sound = headers().into_iter().find(|case| case.error.is_empty()).unwrap();
    let wrong = Case { error: "Limit", ..sound.clone() };
    let bad = parse(b"FUGG");
    for (case, result) in [(wrong, parse(&sound.bytes)), (sound, bad)] {
        assert!(std::panic::catch_unwind(|| check(&case, "self-test", result)).is_err());
    }
}

#[test]
fn the_memory_check_itself_can_fail() {
    let (used, vec) = peak(|| vec![1u8; 3 << 20]);
    assert!(used >= vec.len() && used < 4 << 20, "{used}");
}
