//! Confluent's wire framing: a zero byte, the schema id as four bytes big endian, then the body.

use crate::failure::{Failure, Stage};

/// Bytes before the body.
pub const HEADER: usize = 5;

const MAGIC: u8 = 0;

/// The writer's schema id and the body of a framed value.
///
/// # Errors
/// Stage `frame`: `empty-payload`, `bad-magic` or `frame-truncated`.
pub fn split(value: &[u8]) -> Result<(u32, &[u8]), Failure> {
    match value {
        [MAGIC, a, b, c, d, body @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        _ => Err(unframed(value)),
    }
}

/// Writes the framing of a value whose body follows.
pub fn write(id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

#[cold]
fn unframed(value: &[u8]) -> Failure {
    let failure = |code, message: String| Failure::new(Stage::Frame, code, message);
    match value {
        [] => {
            failure("empty-payload", "the value is empty: expected Confluent's five bytes of framing and a body".into())
        }
        [MAGIC, ..] => failure(
            "frame-truncated",
            format!("expected a magic byte and four bytes of schema id, found {} bytes in all", value.len()),
        ),
        [first, ..] => {
            let looks = match first {
                b'{' | b'[' => "; this looks like JSON, which a route reads with format = \"json\"",
                _ => "",
            };
            failure("bad-magic", format!("expected the magic byte 0, found {first:#04x}{looks}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_frame_splits_into_its_id_and_body() {
        let mut out = Vec::new();
        write(0x0102_0304, &mut out);
        assert_eq!(out.len(), HEADER);
        assert_eq!(split(&out), Ok((0x0102_0304, &[][..])));
        out.extend(b"body");
        assert_eq!(split(&out), Ok((0x0102_0304, &b"body"[..])));
    }

    #[test]
    fn what_is_not_framed_says_what_it_is() {
        for (value, code) in [
            (&b""[..], "empty-payload"),
            (&b"\0"[..], "frame-truncated"),
            (&b"\0\0\0\0"[..], "frame-truncated"),
            (&b"{\"a\":1}"[..], "bad-magic"),
            (&b"\x01\0\0\0\x01x"[..], "bad-magic"),
        ] {
            assert_eq!(split(value).unwrap_err().code, code);
        }
        assert!(split(b"{}").unwrap_err().message.contains("JSON"));
    }
}
