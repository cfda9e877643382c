//! Kafka's uuid: 16 bytes, written as 22 characters of unpadded URL-safe base64.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// A topic, directory or cluster id. All zeros means "no id" on the wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// The text is not 22 characters of unpadded URL-safe base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a Kafka uuid (22 characters of A-Z a-z 0-9 - _)")]
pub struct UuidError(String);

impl Uuid {
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// The id Kafka gives to `__cluster_metadata`.
    pub const METADATA_TOPIC: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    pub const fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub fn is_zero(&self) -> bool {
        *self == Uuid::ZERO
    }

    /// A version 4 uuid out of 16 random bytes. Returns `None` where Kafka would draw again: the
    /// reserved ids (the low hundred), and texts that begin with a dash, which confuse command lines.
    pub fn from_random(mut bytes: [u8; 16]) -> Option<Uuid> {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let uuid = Uuid(bytes);
        (!uuid.to_string().starts_with('-')).then_some(uuid)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 22];
        let len = URL_SAFE_NO_PAD
            .encode_slice(self.0, &mut text)
            .map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text[..len]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Uuid, UuidError> {
        let mut bytes = [0u8; 18];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => {
                let mut id = [0u8; 16];
                id.copy_from_slice(&bytes[..16]);
                Ok(Uuid(id))
            }
            _ => Err(UuidError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_the_one_kafka_prints() {
        assert_eq!(Uuid::METADATA_TOPIC.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id: Uuid = "4L6g3nShT-eMCtK--X86sw".parse().unwrap();
        assert_eq!(id.to_string(), "4L6g3nShT-eMCtK--X86sw");
    }

    #[test]
    fn a_text_of_another_length_is_refused() {
        assert!("4L6g3nShT-eMCtK--X86s".parse::<Uuid>().is_err());
        assert!("".parse::<Uuid>().is_err());
        assert!("4L6g3nShT-eMCtK--X86swAAAA".parse::<Uuid>().is_err());
    }

    #[test]
    fn a_random_uuid_never_begins_with_a_dash() {
        let mut bytes = [0u8; 16];
        bytes[0] = 0xf8; // 62 in base64url's first six bits
        assert_eq!(Uuid::from_random(bytes), None);
    }
}
