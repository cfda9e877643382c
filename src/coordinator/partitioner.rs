//! Which partition of an internal topic holds a key.

/// `abs(hash(key)) mod partitions`, with Java's `String.hashCode` over UTF-16 units and
/// `abs(i32::MIN) = 0`, as Kafka's `Utils.abs` has it. `partitions` must be positive.
pub fn partition_for(key: &str, partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let hash = key.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    hash.checked_abs().unwrap_or(0) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_javas_hash_code_sends_them() {
        // String.hashCode: "" 0, "a" 97, "my-group" -1906497762.
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 47);
        assert_eq!(partition_for("my-group", 50), 12);
        assert_eq!(partition_for("console-consumer-1", 1), 0);
    }

    #[test]
    fn the_one_hash_without_an_absolute_value_goes_to_partition_zero() {
        // "polygenelubricants" is the classic string whose hash code is i32::MIN.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
    }

    #[test]
    fn characters_outside_the_basic_plane_count_as_two_units() {
        // "\u{1F600}" is D83D DE00: 0xD83D * 31 + 0xDE00 = 1772899.
        assert_eq!(partition_for("\u{1F600}", 50), 49);
    }
}
