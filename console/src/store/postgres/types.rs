//! Values between the console and PostgreSQL, in its binary form.

use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::store::sql::{Value, ValueRef};

type Failed = Box<dyn StdError + Sync + Send>;

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Integer(number) => match *kind {
                Type::INT8 => out.extend_from_slice(&number.to_be_bytes()),
                Type::INT4 => out.extend_from_slice(&i32::try_from(*number)?.to_be_bytes()),
                Type::INT2 => out.extend_from_slice(&i16::try_from(*number)?.to_be_bytes()),
                Type::BOOL => out.extend_from_slice(&[u8::from(*number != 0)]),
                _ => return Err(format!("a number for a column of type {kind}").into()),
            },
            // There is no NUL in PostgreSQL's text. A leaf of the ledger has none: it is JSON.
            Self::Text(text) if text.contains('\0') => {
                out.extend_from_slice(text.replace('\0', "\u{fffd}").as_bytes());
            }
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Blob(bytes) => match *kind {
                Type::BYTEA => out.extend_from_slice(bytes),
                _ => return Err(format!("bytes for a column of type {kind}").into()),
            },
        }
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::INT8
                | Type::INT4
                | Type::INT2
                | Type::BOOL
                | Type::TEXT
                | Type::VARCHAR
                | Type::NAME
                | Type::UNKNOWN
                | Type::BYTEA
        )
    }

    to_sql_checked!();
}

/// A column of a row, as it came.
pub struct Raw<'a>(pub ValueRef<'a>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(Self(match *kind {
            Type::INT8 => ValueRef::Integer(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => ValueRef::Integer(i32::from_be_bytes(raw.try_into()?).into()),
            Type::INT2 => ValueRef::Integer(i16::from_be_bytes(raw.try_into()?).into()),
            Type::BOOL => ValueRef::Integer((raw != [0]).into()),
            Type::FLOAT8 => ValueRef::Real(f64::from_be_bytes(raw.try_into()?)),
            Type::NUMERIC => ValueRef::Integer(whole(raw).ok_or("a number that is not whole")?),
            Type::BYTEA => ValueRef::Blob(raw),
            Type::VOID => ValueRef::Null,
            _ => ValueRef::Text(raw),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failed> {
        Ok(Self(ValueRef::Null))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::INT8
                | Type::INT4
                | Type::INT2
                | Type::BOOL
                | Type::FLOAT8
                | Type::NUMERIC
                | Type::BYTEA
                | Type::VOID
                | Type::TEXT
                | Type::VARCHAR
                | Type::NAME
                | Type::UNKNOWN
        )
    }
}

/// A sum of whole numbers is a NUMERIC: four digits at a time, the highest first.
fn whole(raw: &[u8]) -> Option<i64> {
    let part = |at: usize| {
        let bytes = raw.get(at * 2..at * 2 + 2)?;
        Some(i64::from(i16::from_be_bytes(bytes.try_into().ok()?)))
    };
    let (count, weight, sign) = (part(0)?, part(1)?, part(2)?);
    let mut number: i64 = 0;
    for place in 0..=weight {
        let digits = if place < count {
            part(4 + place as usize)?
        } else {
            0
        };
        number = number.checked_mul(10_000)?.checked_add(digits)?;
    }
    let fraction = (weight + 1).max(0)..count;
    if fraction
        .into_iter()
        .any(|place| part(4 + place as usize) != Some(0))
    {
        return None;
    }
    match sign {
        0 => Some(number),
        0x4000 => Some(-number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numerics_are_read_and_others_are_not() {
        let numeric = |weight: i16, sign: i16, digits: &[i16]| -> Vec<u8> {
            let head = [digits.len() as i16, weight, sign, 0];
            let parts = head.iter().chain(digits);
            parts.flat_map(|part| part.to_be_bytes()).collect()
        };
        assert_eq!(whole(&numeric(0, 0, &[])), Some(0));
        assert_eq!(whole(&numeric(1, 0, &[12, 345])), Some(120_345));
        assert_eq!(whole(&numeric(2, 0x4000, &[7])), Some(-700_000_000));
        assert_eq!(whole(&numeric(0, 0, &[1, 5000])), None);
        assert_eq!(whole(&numeric(0, -0x4000, &[])), None);
    }
}
