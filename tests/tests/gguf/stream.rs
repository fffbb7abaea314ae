//! The streaming reader: it asks for what is missing, never for what is not there, and ends with the same header.

use gabion::gguf::{Header, Owned, Parse, Writer, read_header};
use gabion::quant::TensorType;
use gabion_tests::hostile::headers;

use super::{Plain, parse, shown};

fn small() -> Vec<u8> {
    Writer::new()
        .key("general.architecture", Owned::String("none".into()))
        .key("a.list", Owned::Strings(vec!["x".into(), String::new(), "déjà".into()]))
        .key("a.floats", Owned::F32s(vec![1.5, f32::NAN]))
        .tensor("t", TensorType::F32, &[4, 2], vec![7; 32])
        .tensor("u", TensorType::Q8_0, &[32], vec![1; 34])
        .to_bytes()
}

/// Gives the parser exactly what it asks for, until it is done.
fn feed(bytes: &[u8], total: Option<u64>) -> (Header, usize) {
    let mut have = 0;
    loop {
        match Header::parse(&bytes[..have], total).unwrap() {
            Parse::Done(header) => return (header, have),
            Parse::Need(n) => {
                assert!(n > have as u64, "asks for {n}, has {have}");
                have = n as usize;
            }
        }
    }
}

#[test]
fn asks_for_no_more_than_the_header() {
    let bytes = small();
    let whole = parse(&bytes).unwrap();
    for total in [None, Some(bytes.len() as u64)] {
        let (header, have) = feed(&bytes, total);
        assert_eq!(shown(&header), shown(&whole));
        assert!(have as u64 <= whole.data_start, "asked for {have} bytes of a header of {}", whole.data_start);
    }
}

/// Every prefix of every case: once it knows, it says the same as with the whole file.
#[test]
fn prefixes_agree_with_the_whole() {
    for case in headers().iter().filter(|case| case.bytes.len() < 4096) {
        let total = case.bytes.len();
        let whole = parse(&case.bytes).map(|header| shown(&header));
        for have in 0..total {
            match Header::parse(&case.bytes[..have], Some(total as u64)) {
                Ok(Parse::Need(n)) => assert!((have as u64) < n && n <= total as u64, "{}: {have} -> {n}", case.name),
                Ok(Parse::Done(header)) => assert_eq!(Ok(shown(&header)), whole, "{} at {have}", case.name),
                Err(error) => assert!(whole.is_err(), "{} at {have}: {error}", case.name),
            }
        }
    }
}

#[test]
fn large_headers_take_few_reads() {
    let words: Vec<String> = (0..400_000).map(|i| format!("token {i}")).collect();
    let bytes = Writer::new().key("words", Owned::Strings(words)).to_bytes();
    assert!(bytes.len() > 7 << 20);
    for known in [true, false] {
        let mut source = Plain::new(&bytes, known);
        let header = pollster::block_on(read_header(&mut source)).unwrap();
        assert_eq!(header.strings("words").unwrap().unwrap().len(), 400_000);
        assert!(source.reads.len() <= 5, "{:?}", source.reads);
    }
}

/// A length that is merely claimed costs a stream of unknown length no memory.
#[test]
fn never_asks_for_more_than_twice_what_came() {
    let claim = gabion_tests::hostile::raw::Raw::new().kv(b"s", 8, &(1u64 << 29).to_le_bytes()).bytes();
    let mut source = Plain::new(&claim, false);
    let error = pollster::block_on(read_header(&mut source)).unwrap_err();
    assert!(error.to_string().contains("truncated"), "{error}");
    assert!(source.reads.iter().max() <= Some(&(1 << 20)), "{:?}", source.reads);
}
