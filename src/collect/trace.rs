//! The trace that a request belongs to (W3C Trace Context), as it goes on with the records.

use axum::http::HeaderMap;

/// Longest `tracestate` that is passed on, as the standard asks for at least.
const STATE: usize = 512;

/// Headers for the records of a request: `traceparent` where it is well formed, and then `tracestate`.
pub(super) fn headers(request: &HeaderMap) -> Vec<(&'static str, Vec<u8>)> {
    let mut found = Vec::new();
    let Some(parent) = request.get("traceparent").map(|v| v.as_bytes()).filter(|v| is_parent(v)) else { return found };
    found.push(("traceparent", parent.to_vec()));
    let states: Vec<&[u8]> = request.get_all("tracestate").iter().map(|v| v.as_bytes()).collect();
    let state = states.join(&b","[..]);
    if !state.is_empty() && state.len() <= STATE {
        found.push(("tracestate", state));
    }
    found
}

/// `version-trace-parent-flags` in lower-case hexadecimal; neither id is zero, and version ff is none.
fn is_parent(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value.split(|b| *b == b'-').collect();
    let [version, trace, parent, flags, later @ ..] = &parts[..] else { return false };
    let hex = |part: &[u8], length: usize| {
        part.len() == length && part.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
    };
    let some = |part: &[u8]| part.iter().any(|b| *b != b'0');
    // A later version may have more parts.
    let whole = later.is_empty() || (*version != b"00" && value.len() <= STATE);
    hex(version, 2)
        && *version != b"ff"
        && hex(trace, 32)
        && some(trace)
        && hex(parent, 16)
        && some(parent)
        && hex(flags, 2)
        && whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_parent_goes_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_parent(good.as_bytes()));
        assert!(is_parent(good.replacen("00", "cc", 1).as_bytes()));
        for bad in [
            "",
            "00",
            &good.to_uppercase(),
            &good.replacen("00", "ff", 1),
            &good[..54],
            &format!("{good}-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(!is_parent(bad.as_bytes()), "{bad}");
        }
        let mut request = HeaderMap::new();
        request.insert("tracestate", "a=1".parse().unwrap());
        assert!(headers(&request).is_empty(), "a state without a parent means nothing");
        request.insert("traceparent", good.parse().unwrap());
        request.append("tracestate", "b=2".parse().unwrap());
        assert_eq!(headers(&request), [("traceparent", good.as_bytes().to_vec()), ("tracestate", b"a=1,b=2".to_vec())]);
    }
}
