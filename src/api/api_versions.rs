//! ApiVersions, key 18, versions 0–4.
//!
//! Tells what is served. The one request that is answered in versions we do not have: in version 0,
//! with UNSUPPORTED_VERSION and only its own range (KIP-511), so that the client asks again.
//! v3: the client names its software, which is checked. v4: supported features may begin at 0.
//! The answer's ranges are Apache Kafka 4.3.1's; versions that only older brokers had are served, and told
//! of only with `ottla.old.api.versions.advertise`.

use super::answer::{Call, Outcome};
use super::context::Staged;
use super::{ROWS, Row};
use crate::config::OldVersions;
use crate::metadata::{ImageHandle, MetadataImage, SUPPORTED_FEATURES, SupportedFeature};
use crate::protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, ErrorCode};
use crate::runtime::Reply;

pub(super) fn serve(
    mut call: Call,
    reply: &mut Reply,
    image: &ImageHandle,
    old_versions: OldVersions,
) -> Outcome {
    let back = call.back();
    if !call.known {
        let response = ApiVersionsResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            api_keys: ROWS
                .iter()
                .filter(|r| r.key == ApiKey::ApiVersions)
                .map(|row| range(row, old_versions))
                .collect(),
            ..ApiVersionsResponse::default()
        };
        return back.in_version(0).send(Staged::Ready(response), reply);
    }
    // An unreadable body ends the connection like any other.
    let request: ApiVersionsRequest = match call.request() {
        Ok(request) => request,
        Err(refusal) => return Outcome::Close(refusal),
    };
    let version = call.context.version;
    let response = if version >= 3 && !names_software(&request) {
        ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            ..ApiVersionsResponse::default()
        }
    } else {
        served(&image.load(), version, old_versions)
    };
    back.send(Staged::Ready(response), reply)
}

fn served(image: &MetadataImage, version: i16, old_versions: OldVersions) -> ApiVersionsResponse {
    // Old clients misread a feature whose lowest level is 0 (KAFKA-17011).
    let supported = SUPPORTED_FEATURES
        .iter()
        .filter(|feature| version >= 4 || feature.min > 0);
    // A log of Apache Kafka may have others: here they do not work, and no client may count on them.
    let finalized = image
        .features
        .iter()
        .filter(|(name, _)| SupportedFeature::find(name).is_some());
    ApiVersionsResponse {
        api_keys: ROWS
            .iter()
            .filter(|row| row.is_advertised())
            .map(|row| range(row, old_versions))
            .collect(),
        supported_features: supported
            .map(|feature| SupportedFeatureKey {
                name: feature.name.into(),
                min_version: feature.min,
                max_version: feature.max,
            })
            .collect(),
        finalized_features_epoch: image.end.get() - 1,
        finalized_features: finalized
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.clone().into(),
                max_version_level: *level,
                min_version_level: *level,
            })
            .collect(),
        ..ApiVersionsResponse::default()
    }
}

fn range(row: &Row, old_versions: OldVersions) -> ApiVersion {
    ApiVersion {
        api_key: row.key.code(),
        min_version: row.advertised_min(old_versions),
        max_version: row.max,
    }
}

/// Letters, digits, dots and dashes, with a letter or digit at both ends
/// (`ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN`).
fn names_software(request: &ApiVersionsRequest) -> bool {
    let valid = |text: &str| {
        let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        text.bytes().all(inside)
            && text
                .as_bytes()
                .first()
                .is_some_and(u8::is_ascii_alphanumeric)
            && text
                .as_bytes()
                .last()
                .is_some_and(u8::is_ascii_alphanumeric)
    };
    valid(&request.client_software_name) && valid(&request.client_software_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &'static str, version: &'static str) -> ApiVersionsRequest {
        ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
        }
    }

    #[test]
    fn software_is_named_in_letters_digits_dots_and_dashes() {
        assert!(names_software(&request("apache-kafka-java", "4.3.1")));
        assert!(names_software(&request("a", "1")));
        assert!(!names_software(&request("", "1")));
        assert!(!names_software(&request("-a", "1")));
        assert!(!names_software(&request("a", "1.")));
        assert!(!names_software(&request("a b", "1")));
    }

    #[test]
    fn produce_is_advertised_from_version_0_although_3_is_the_first_served() {
        let response = served(&MetadataImage::default(), 4, OldVersions::Quiet);
        let produce = &response.api_keys[0];
        assert_eq!(
            (produce.api_key, produce.min_version, produce.max_version),
            (0, 0, 13)
        );
    }

    #[test]
    fn old_versions_are_told_of_only_where_the_setting_says_so() {
        let lowest = |old_versions| {
            let response = served(&MetadataImage::default(), 4, old_versions);
            let mut keys = response.api_keys.into_iter();
            let commit = keys.find(|api| api.api_key == ApiKey::OffsetCommit.code());
            commit.map(|api| api.min_version)
        };
        assert_eq!(lowest(OldVersions::Quiet), Some(2));
        assert_eq!(lowest(OldVersions::Advertised), Some(1));
    }
}
