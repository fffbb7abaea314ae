//! Typed metadata values, borrowed from the header's bytes.

/// The type of a metadata value, by its id in the file.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ValueType {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl ValueType {
    /// The type of a file's id.
    pub fn from_id(id: u32) -> Option<Self> {
        use ValueType::*;
        [U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64].get(id as usize).copied()
    }

    /// The fewest bytes one value of this type takes in a file.
    pub(crate) fn min_bytes(self) -> u64 {
        use ValueType::*;
        match self {
            U8 | I8 | Bool => 1,
            U16 | I16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 | String => 8,
            Array => 12,
        }
    }
}

/// One metadata value. Strings are bytes: files promise UTF-8 but vocabularies break it.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(&'a [u8]),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl<'a> Value<'a> {
    /// Any integer type, if it fits.
    pub fn as_i64(self) -> Option<i64> {
        Some(match self {
            Value::U8(v) => v.into(),
            Value::I8(v) => v.into(),
            Value::U16(v) => v.into(),
            Value::I16(v) => v.into(),
            Value::U32(v) => v.into(),
            Value::I32(v) => v.into(),
            Value::U64(v) => i64::try_from(v).ok()?,
            Value::I64(v) => v,
            _ => return None,
        })
    }

    /// Either float type, rounded to f32.
    pub fn as_f32(self) -> Option<f32> {
        match self {
            Value::F32(v) => Some(v),
            Value::F64(v) => Some(v as f32),
            _ => None,
        }
    }

    /// A string that is valid UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Value::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// One scalar of type `ty` from the front of `bytes`, with what follows it. `None` where they are too short or
    /// the value is invalid (a bool other than 0 and 1). Arrays are not read here.
    pub(crate) fn read(ty: ValueType, bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
            bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest))
        }
        macro_rules! scalar {
            ($variant:ident, $t:ty) => {{
                let (raw, rest) = take(bytes)?;
                (Value::$variant(<$t>::from_le_bytes(raw)), rest)
            }};
        }
        Some(match ty {
            ValueType::U8 => scalar!(U8, u8),
            ValueType::I8 => scalar!(I8, i8),
            ValueType::U16 => scalar!(U16, u16),
            ValueType::I16 => scalar!(I16, i16),
            ValueType::U32 => scalar!(U32, u32),
            ValueType::I32 => scalar!(I32, i32),
            ValueType::F32 => scalar!(F32, f32),
            ValueType::U64 => scalar!(U64, u64),
            ValueType::I64 => scalar!(I64, i64),
            ValueType::F64 => scalar!(F64, f64),
            ValueType::Bool => match bytes.split_first()? {
                (&flag @ 0..=1, rest) => (Value::Bool(flag == 1), rest),
                _ => return None,
            },
            ValueType::String => {
                let (len, rest) = take::<8>(bytes)?;
                let len = usize::try_from(u64::from_le_bytes(len)).ok()?;
                (Value::String(rest.get(..len)?), &rest[len..])
            }
            ValueType::Array => return None,
        })
    }
}

/// An array value: its elements are decoded as they are iterated.
#[derive(Clone, Copy, PartialEq)]
pub struct Array<'a> {
    /// Type of every element; never `Array`.
    pub ty: ValueType,
    pub(crate) len: usize,
    pub(crate) raw: &'a [u8],
}

impl std::fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{:?}; {}]", self.ty, self.len)
    }
}

impl<'a> Array<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut rest = self.raw;
        (0..self.len).map_while(move |_| {
            let (value, tail) = Value::read(self.ty, rest)?;
            rest = tail;
            Some(value)
        })
    }
}
