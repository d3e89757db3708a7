//! Values on their way to the database and back.

use super::Error;

/// A value as a statement takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// A whole number, or whether something is so: 0 or 1.
    Integer(i64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// A value as a row gives it. Text is bytes until it is asked for: what is not UTF-8 is for the
/// reader to find.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Text.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

impl<'a> ValueRef<'a> {
    /// The text.
    pub fn as_str(&self) -> Result<&'a str, Error> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes)
                .map_err(|_| Error::Unreadable("the text is not UTF-8".to_owned())),
            other => Err(other.is_no("text")),
        }
    }

    /// The bytes.
    pub fn as_blob(&self) -> Result<&'a [u8], Error> {
        match self {
            Self::Blob(bytes) => Ok(bytes),
            other => Err(other.is_no("bytes")),
        }
    }

    fn as_i64(self) -> Result<i64, Error> {
        match self {
            Self::Integer(number) => Ok(number),
            other => Err(other.is_no("number")),
        }
    }

    /// The error for a value that is none of what is wanted.
    pub fn is_no(&self, wanted: &str) -> Error {
        let is = match self {
            Self::Null => "nothing",
            Self::Integer(_) => "a whole number",
            Self::Real(_) => "a number",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytes",
        };
        Error::Unreadable(format!("{is} where {wanted} should be"))
    }
}

/// What can be given to a statement.
pub trait ToSql {
    /// As the statement takes it.
    fn to_sql(&self) -> Value<'_>;
}

/// What can be read from a row.
pub trait FromSql: Sized {
    /// Reads it.
    fn column_result(value: ValueRef<'_>) -> Result<Self, Error>;
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl ToSql for $number {
            fn to_sql(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }

        impl FromSql for $number {
            fn column_result(value: ValueRef<'_>) -> Result<Self, Error> {
                let number = value.as_i64()?;
                Self::try_from(number)
                    .map_err(|_| Error::Unreadable(format!("{number} is out of its range")))
            }
        }
    )*};
}

whole_numbers!(i64, i32, u32, u16, u8);

impl ToSql for bool {
    fn to_sql(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl FromSql for bool {
    fn column_result(value: ValueRef<'_>) -> Result<Self, Error> {
        Ok(value.as_i64()? != 0)
    }
}

impl ToSql for str {
    fn to_sql(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToSql for String {
    fn to_sql(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl FromSql for String {
    fn column_result(value: ValueRef<'_>) -> Result<Self, Error> {
        value.as_str().map(str::to_owned)
    }
}

impl ToSql for [u8] {
    fn to_sql(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToSql for Vec<u8> {
    fn to_sql(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl FromSql for Vec<u8> {
    fn column_result(value: ValueRef<'_>) -> Result<Self, Error> {
        value.as_blob().map(<[u8]>::to_vec)
    }
}

impl<const N: usize> ToSql for [u8; N] {
    fn to_sql(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> FromSql for [u8; N] {
    fn column_result(value: ValueRef<'_>) -> Result<Self, Error> {
        let bytes = value.as_blob()?;
        bytes
            .try_into()
            .map_err(|_| Error::Unreadable(format!("{} bytes where {N} should be", bytes.len())))
    }
}

impl<T: ToSql> ToSql for Option<T> {
    fn to_sql(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToSql::to_sql)
    }
}

impl<T: FromSql> FromSql for Option<T> {
    fn column_result(value: ValueRef<'_>) -> Result<Self, Error> {
        match value {
            ValueRef::Null => Ok(None),
            value => T::column_result(value).map(Some),
        }
    }
}

impl<T: ToSql + ?Sized> ToSql for &T {
    fn to_sql(&self) -> Value<'_> {
        (**self).to_sql()
    }
}

/// The values of one run of a statement, by place.
pub trait Params {
    /// Gives them to `run`.
    fn with<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R;
}

impl Params for [&dyn ToSql; 0] {
    fn with<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
        run(&[])
    }
}

impl Params for &[Value<'_>] {
    fn with<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
        run(self)
    }
}

impl Params for &[&dyn ToSql] {
    fn with<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
        let values: Vec<Value<'_>> = self.iter().map(|value| value.to_sql()).collect();
        run(&values)
    }
}

macro_rules! arrays {
    ($($length:literal),*) => {$(
        impl<T: ToSql> Params for [T; $length] {
            fn with<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
                run(&self.each_ref().map(ToSql::to_sql))
            }
        }
    )*};
}

// Without 0, so that `[]` has one meaning.
arrays!(1, 2, 3, 4, 5, 6);

/// The values of a statement, of whatever types.
#[macro_export]
#[doc(hidden)]
macro_rules! store_params {
    () => { &[] as &[&dyn $crate::store::sql::ToSql] };
    ($($value:expr),+ $(,)?) => {
        &[$(&$value as &dyn $crate::store::sql::ToSql),+] as &[&dyn $crate::store::sql::ToSql]
    };
}
