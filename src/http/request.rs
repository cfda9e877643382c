//! Reading a request, as far as two pages need it (RFC 9112).

/// Longest request, headers and all, in bytes.
pub(super) const BYTES_MAX: usize = 8 * 1024;

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
}

/// Why there is no request yet, or none at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Incomplete,
    Malformed,
    TooLong,
}

/// The request at the start of `bytes`, once its headers have ended. The headers say nothing that matters
/// here.
pub(super) fn parse(bytes: &[u8]) -> Result<Request, Unread> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Err(match bytes.len() {
            len if len >= BYTES_MAX => Unread::TooLong,
            _ => Unread::Incomplete,
        });
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Unread::Malformed)?;
    let line = head.lines().next().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else {
        return Err(Unread::Malformed);
    };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(Unread::Malformed);
    }
    let path = target.split('?').next().unwrap_or_default();
    Ok(Request {
        method: method.to_owned(),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_once_its_headers_have_ended() {
        let whole = b"GET /metrics?all=1 HTTP/1.1\r\nHost: here\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), Err(Unread::Incomplete));
        }
        let request = parse(whole).unwrap();
        assert_eq!((&*request.method, &*request.path), ("GET", "/metrics"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bytes in [
            &b"\r\n\r\n"[..],
            b"GET /health\r\n\r\n",
            b"GET  /health HTTP/1.1\r\n\r\n",
            b"GET health HTTP/1.1\r\n\r\n",
            b"GET /health HTTP/2\r\n\r\n",
            b"\xff\xff / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(parse(bytes), Err(Unread::Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn headers_without_end_are_too_long_at_some_point() {
        assert_eq!(parse(&[b'a'; BYTES_MAX - 1]), Err(Unread::Incomplete));
        assert_eq!(parse(&[b'a'; BYTES_MAX]), Err(Unread::TooLong));
    }
}
