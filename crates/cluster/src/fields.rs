//! Fields of the small messages between nodes, written and read in one way.

use ledger::LedgerId;

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FieldsError {
    #[error("version {0} of a message came from a newer server")]
    Newer(u8),
    #[error("a message is malformed: {0}")]
    Malformed(&'static str),
}

/// Reads fields one after the other.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Of a message that begins with its version, which has to be `version`.
    pub(crate) fn of(bytes: &'a [u8], version: u8) -> Result<Self, FieldsError> {
        let mut fields = Self(bytes);
        let found = fields.byte()?;
        if found == version { Ok(fields) } else { Err(FieldsError::Newer(found)) }
    }

    pub(crate) fn raw(&mut self, count: usize) -> Result<&'a [u8], FieldsError> {
        let split = self.0.split_at_checked(count);
        let (taken, rest) = split.ok_or(FieldsError::Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldsError> {
        Ok(self.raw(N)?.try_into().expect("as many as asked for"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, FieldsError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn flag(&mut self) -> Result<bool, FieldsError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FieldsError::Malformed("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, FieldsError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn ledger(&mut self) -> Result<LedgerId, FieldsError> {
        Ok(LedgerId(self.array()?))
    }

    /// Behind its length in two bytes.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<&'a [u8], FieldsError> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        if length > max {
            return Err(FieldsError::Malformed("a field is longer than it may be"));
        }
        self.raw(length)
    }

    pub(crate) fn text(&mut self, max: usize) -> Result<&'a str, FieldsError> {
        std::str::from_utf8(self.bytes(max)?).map_err(|_| FieldsError::Malformed("a text is not UTF-8"))
    }

    pub(crate) fn end(self) -> Result<(), FieldsError> {
        if self.0.is_empty() { Ok(()) } else { Err(FieldsError::Malformed("it goes on behind its end")) }
    }
}

/// Writes what [`Fields::bytes`] reads.
///
/// # Panics
/// On more than 65,535 bytes: what is written was limited before.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("fields are limited where they are made");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}
