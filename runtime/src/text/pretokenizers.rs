//! The table of pre-tokenizers: what each `tokenizer.ggml.pre` name means, as data.
//!
//! The regexes are the published ones of the models' own tokenizer files (spec "tokenizers", section 4), so that text
//! is cut as it was in training. `split` runs them in linear time, which is why possessive quantifiers are written as
//! plain ones (they differ in speed only) and counting digits from the right is a rule of its own.

/// One name's worth of rules.
pub(super) struct PreTokenizer {
    /// The steps, applied one after another to every piece of the one before.
    pub(super) steps: &'static [Step],
    /// A piece that is a whole token is that token, whatever the merges say.
    pub(super) ignore_merges: bool,
    /// BOS is added unless the file says otherwise.
    pub(super) add_bos: bool,
    /// SEP is added at the end unless the file says otherwise.
    pub(super) add_sep: bool,
    /// The family has no BOS whatever the file says.
    pub(super) no_bos: bool,
}

/// How one step cuts a piece; what lies between matches stays together as a piece of its own.
pub(super) enum Step {
    /// Each match is a piece.
    Match(&'static str),
    /// Each match is cut into groups of three characters counted from its right end.
    Threes(&'static str),
}

use Step::{Match, Threes};

const PLAIN: PreTokenizer =
    PreTokenizer { steps: &[], ignore_merges: false, add_bos: false, add_sep: false, no_bos: false };

/// The alternative every GPT-style pattern ends with: a run of white space, less its last character where a word
/// follows. `split` recognises it by this text.
pub(super) const SPACES: &str = r"|\s+(?!\S)|\s+";
/// jais-2's ending: as `SPACES`, and then in pieces of powers of two.
pub(super) const SPACES_BY_POWERS: &str = concat!(
    r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)",
    r"|\s{1,2}(?!\S)|\s{1}"
);

// Fragments shared by many patterns; macros because `concat!` takes only literals.
macro_rules! contraction {
    () => {
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    };
}
macro_rules! lines_spaces {
    () => {
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    };
}
macro_rules! upper {
    () => {
        r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
    };
}
macro_rules! lower {
    () => {
        r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
    };
}
/// Words that change case at most once, as gpt-4o has them; `$not` is cut out of the letters, `$tail` may follow a word.
macro_rules! cased_words {
    ($not:expr, $tail:expr) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[",
            upper!(),
            $not,
            "]*[",
            lower!(),
            $not,
            "]+",
            $tail,
            r"|[^\r\n\p{L}\p{N}]?[",
            upper!(),
            $not,
            "]+[",
            lower!(),
            $not,
            "]*",
            $tail
        )
    };
}
macro_rules! contraction_maybe {
    () => {
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    };
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str =
    concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*", lines_spaces!());
const QWEN2: &str =
    concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*", lines_spaces!());
const QWEN35: &str =
    concat!(contraction!(), r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*", lines_spaces!());
const JAIS2: &str = concat!(
    contraction!(),
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
    r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)",
    r"|\s{1,2}(?!\S)|\s{1}"
);
const TEKKEN: &str = concat!(cased_words!("", ""), r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*", lines_spaces!());
const GPT4O: &str =
    concat!(cased_words!("", contraction_maybe!()), r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*", lines_spaces!());
const YOUTU: &str =
    concat!(cased_words!("", contraction_maybe!()), r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*", lines_spaces!());
const KIMI_K2: &str = concat!(
    r"\p{Han}+|",
    cased_words!(r"&&[^\p{Han}]", contraction_maybe!()),
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    lines_spaces!()
);
const DEEPSEEK_V3: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"##,
    lines_spaces!()
);
/// Chinese, Hangul and, by a range that upstream wrote back to front, everything from U+0800 on below them.
const DEEPSEEK_CJK: &str = r"[\u{4E00}-\u{9FA5}\u{800}-\u{4E00}\u{AC00}-\u{D7FF}]+";
const HAN_KANA: &str = r"[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+";
/// A word of cased letters, listed by upstream one range at a time.
const DEEPSEEK_WORD: &str = concat!(
    r"\s?[",
    r"A-Za-z\u{B5}\u{C0}-\u{D6}\u{D8}-\u{F6}\u{F8}-\u{1BA}\u{1BC}-\u{1BF}\u{1C4}-\u{293}\u{295}-\u{2AF}",
    r"\u{370}-\u{373}\u{376}\u{377}\u{37B}-\u{37D}\u{37F}\u{386}\u{388}-\u{38A}\u{38C}\u{38E}-\u{3A1}",
    r"\u{3A3}-\u{3F5}\u{3F7}-\u{481}\u{48A}-\u{52F}\u{531}-\u{556}\u{10A0}-\u{10C5}\u{13A0}-\u{13F5}",
    r"\u{13F8}-\u{13FD}\u{1C90}-\u{1CBA}\u{1CBD}-\u{1CBF}\u{1D00}-\u{1D2B}\u{1D6B}-\u{1D77}\u{1D79}-\u{1D9A}",
    r"\u{1E00}-\u{1F15}\u{1F18}-\u{1F1D}\u{1F20}-\u{1F45}\u{1F48}-\u{1F4D}\u{1F50}-\u{1F57}\u{1F59}\u{1F5B}",
    r"\u{1F5D}\u{1F5F}-\u{1F7D}\u{1F80}-\u{1FB4}\u{1FB6}-\u{1FBC}\u{1FBE}\u{1FC2}-\u{1FC4}\u{1FC6}-\u{1FCC}",
    r"\u{1FD0}-\u{1FD3}\u{1FD6}-\u{1FDB}\u{1FE0}-\u{1FEC}\u{1FF2}-\u{1FF4}\u{1FF6}-\u{1FFC}\u{2102}\u{2107}",
    r"\u{210A}-\u{2113}\u{2115}\u{2119}-\u{211D}\u{2124}\u{2126}\u{2128}\u{212A}-\u{212D}\u{212F}-\u{2134}\u{2139}",
    r"\u{213C}-\u{213F}\u{2145}-\u{2149}\u{214E}\u{2183}\u{2184}\u{2C00}-\u{2C7B}\u{2C7E}-\u{2CE4}",
    r"\u{2CEB}-\u{2CEE}\u{2CF2}\u{2CF3}\u{A640}-\u{A66D}\u{A680}-\u{A69B}\u{A722}-\u{A76F}\u{A771}-\u{A787}",
    r"\u{A78B}-\u{A78E}\u{AB70}-\u{ABBF}\u{FB00}-\u{FB06}\u{FB13}-\u{FB17}\u{FF21}-\u{FF3A}\u{FF41}-\u{FF5A}",
    r"\u{10400}-\u{1044F}\u{104B0}-\u{104D3}\u{104D8}-\u{104FB}\u{10C80}-\u{10CB2}\u{10CC0}-\u{10CF2}",
    r"\u{118A0}-\u{118DF}\u{1E900}-\u{1E943}",
    r"]+"
);
const DEEPSEEK_PUNCTUATION: &str = r"\s?[!-/:-~\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF5E}\u{2018}-\u{201F}\u{3000}-\u{3002}]+";
/// CJK, kana, Thai, Lao, Khmer, Burmese and Hangul.
const AFMOE_SCRIPTS: &str = concat!(
    r"[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{F900}-\u{FAFF}\u{3040}-\u{309F}\u{30A0}-\u{30FF}\u{FF65}-\u{FF9F}",
    r"\u{2F00}-\u{2FDF}\u{E40}-\u{E7F}\u{EC0}-\u{EFF}\u{1780}-\u{17FF}\u{1000}-\u{109F}\u{AA60}-\u{AA7F}",
    r"\u{A9E0}-\u{A9FF}\u{AC00}-\u{D7AF}\u{1100}-\u{11FF}]+"
);
const YOUTU_SCRIPTS: &str = concat!(
    r"[\u{AC00}-\u{D7A3}\u{3131}-\u{318E}]+",
    r"|[\u{FF01}\u{2026}\u{201C}\u{201D}\u{2018}\u{2019}\u{2014}\u{FF1A}\u{FF1B}\u{FF0C}\u{3001}-\u{303F}\u{FE30}-\u{FE4F}]+",
    r"|[\u{3105}-\u{312F}]+|[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+"
);
const BLOOM: &str = r" ?[^(\s|.,!?\u{2026}\u{3002}\u{FF0C}\u{3001}\u{964}\u{6D4}\u{60C}]+";

/// Names and their rules. Absent `pre` keys mean "default", as in files older than the key.
const TABLE: &[(&[&str], PreTokenizer)] = &[
    (
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
        ],
        PreTokenizer { steps: &[Match(GPT2)], ..PLAIN },
    ),
    (&["roberta-bpe", "jina-v1-en", "jina-v2-code"], PreTokenizer { steps: &[Match(GPT2)], add_sep: true, ..PLAIN }),
    (
        &["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
        PreTokenizer { steps: &[Match(r"\p{N}"), Match(GPT2)], ..PLAIN },
    ),
    (
        &["falcon"],
        PreTokenizer { steps: &[Match(r"[\p{P}\$\+<=>\^~\|`]+"), Match(GPT2), Match(r"[0-9][0-9][0-9]")], ..PLAIN },
    ),
    (
        &["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
        PreTokenizer { steps: &[Match(LLAMA3)], ignore_merges: true, add_bos: true, ..PLAIN },
    ),
    (&["dbrx", "smaug-bpe"], PreTokenizer { steps: &[Match(LLAMA3)], ..PLAIN }),
    (&["glm4", "chatglm-bpe"], PreTokenizer { steps: &[Match(LLAMA3)], no_bos: true, ..PLAIN }),
    (&["jais-2"], PreTokenizer { steps: &[Match(JAIS2)], ..PLAIN }),
    (
        &["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"],
        PreTokenizer { steps: &[Match(QWEN2)], ..PLAIN },
    ),
    (&["qwen35"], PreTokenizer { steps: &[Match(QWEN35)], ..PLAIN }),
    (&["tekken"], PreTokenizer { steps: &[Match(TEKKEN)], ignore_merges: true, add_bos: true, ..PLAIN }),
    (&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], PreTokenizer { steps: &[Match(GPT4O)], ..PLAIN }),
    (&["granite-embed-multi-97m"], PreTokenizer { steps: &[Match(GPT4O)], ignore_merges: true, ..PLAIN }),
    (&["tiny_aya", "cohere2moe"], PreTokenizer { steps: &[Threes(r"\d+\b"), Match(GPT4O)], ..PLAIN }),
    (
        &["deepseek-coder"],
        PreTokenizer {
            steps: &[Match(r"[\r\n]"), Match(r"\s?\p{L}+"), Match(r"\s?\p{P}+"), Match(DEEPSEEK_CJK), Match(r"\p{N}")],
            ..PLAIN
        },
    ),
    (
        &["deepseek-llm"],
        PreTokenizer {
            steps: &[
                Match(r"[\r\n]"),
                Match(DEEPSEEK_WORD),
                Match(DEEPSEEK_PUNCTUATION),
                Match(r"\s+$"),
                Match(DEEPSEEK_CJK),
                Match(r"\p{N}+"),
            ],
            ..PLAIN
        },
    ),
    (
        &["deepseek-v3", "hunyuan-dense", "joyai-llm"],
        PreTokenizer { steps: &[Match(r"\p{N}{1,3}"), Match(HAN_KANA), Match(DEEPSEEK_V3)], ..PLAIN },
    ),
    (&["youtu"], PreTokenizer { steps: &[Match(YOUTU_SCRIPTS), Match(YOUTU)], ignore_merges: true, ..PLAIN }),
    (&["bloom", "poro-chat", "gpt3-finnish"], PreTokenizer { steps: &[Match(BLOOM)], ..PLAIN }),
    (&["viking"], PreTokenizer { steps: &[Match(BLOOM), Match(r"\p{N}")], ..PLAIN }),
    (
        &["chameleon"],
        PreTokenizer {
            steps: &[
                Match("<sentinel:[0-9]+>"),
                Match("IMGIMG[A-I]{1,4}Z"),
                Match(r"[\t\n]|    |  "),
                Match(r"\p{N}"),
                Match(r"[\p{P}!-/:-@\[-`{-~]"),
                Match(GPT2),
            ],
            add_bos: true,
            ..PLAIN
        },
    ),
    (
        &["bailingmoe", "bailingmoe2", "llada-moe"],
        PreTokenizer {
            steps: &[Match(concat!(
                r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]",
                r"|\s+(?!\S)|\s+"
            ))],
            ..PLAIN
        },
    ),
    (
        &["seed-coder"],
        PreTokenizer {
            steps: &[Match(concat!(
                contraction!(),
                r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+",
                lines_spaces!()
            ))],
            ..PLAIN
        },
    ),
    (&["superbpe"], PreTokenizer { steps: &[Match(r"\p{N}+"), Threes(r"\d+")], ..PLAIN }),
    (&["kimi-k2"], PreTokenizer { steps: &[Match(KIMI_K2)], ..PLAIN }),
    (
        &["exaone-moe"],
        PreTokenizer {
            steps: &[Match(concat!(
                contraction!(),
                r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]",
                r"|\s+(?!\S)|\s+"
            ))],
            ..PLAIN
        },
    ),
    (&["afmoe"], PreTokenizer { steps: &[Threes(r"\p{Nd}+"), Match(AFMOE_SCRIPTS), Match(DEEPSEEK_V3)], ..PLAIN }),
    (&["laguna"], PreTokenizer { steps: &[Match(r"[^\n]+|[\n]+"), Match(QWEN2)], ..PLAIN }),
    (
        &["minicpm5"],
        PreTokenizer {
            steps: &[
                Match(r"\p{N}{1,3}"),
                Match(concat!(
                    contraction!(),
                    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*",
                    lines_spaces!()
                )),
            ],
            ignore_merges: true,
            ..PLAIN
        },
    ),
    (&["whitespace"], PreTokenizer { steps: &[Match(r"\S+")], ..PLAIN }),
    (
        &["default"],
        PreTokenizer {
            steps: &[Match(r"[\p{P}\$\+<=>\^~\|]+"), Match(GPT2), Match(r"\p{N}+"), Match(r"[0-9][0-9][0-9]")],
            ..PLAIN
        },
    ),
];

/// The rules of a name.
pub(super) fn find(name: &str) -> Option<&'static PreTokenizer> {
    TABLE.iter().find(|(names, _)| names.contains(&name)).map(|(_, rules)| rules)
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static PreTokenizer)> {
    TABLE.iter().flat_map(|(names, rules)| names.iter().map(move |name| (*name, rules)))
}
