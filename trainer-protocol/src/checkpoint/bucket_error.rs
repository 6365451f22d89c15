//! Errors of a bucket: the cause in few words, what to do, and never what a server repeats of credentials.

use std::error::Error;

use object_store::client::{HttpError, HttpErrorKind};

/// Most characters of a server's own message that are shown.
const LONGEST_MESSAGE: usize = 200;

/// The reason why a bucket does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct BucketError {
    pub(super) kind: BucketErrorKind,
    text: String,
}

/// What a failure of a bucket means for those who use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BucketErrorKind {
    /// There is no such object.
    NotFound,
    /// The server does not answer, or cannot at the moment: later it may.
    Unreachable,
    /// The server answers, and the same request would fail again.
    Refused,
}

impl BucketError {
    /// Explains an error. The endpoint is named if the server does not answer.
    pub(super) fn of(error: &object_store::Error, endpoint: &str) -> Self {
        let chain = chain(error);
        let innermost = chain.last().map(ToString::to_string).unwrap_or_default();
        let http = chain.iter().find_map(|error| error.downcast_ref::<HttpError>());
        let transport = http.is_some_and(|error| error.kind() != HttpErrorKind::Decode);
        // Of a response only the two elements that every error has: others repeat the key and the token of a request.
        let (code, message) = (element(&innermost, "Code"), element(&innermost, "Message"));
        let status = status(&innermost);
        let answer = answer(code, message, status).unwrap_or_else(|| shortened(&innermost));
        let refused = |text: String| Self { kind: BucketErrorKind::Refused, text };
        let unreachable = |text: String| Self { kind: BucketErrorKind::Unreachable, text };
        if chain.iter().any(|error| error.to_string().contains("/latest/api/token")) {
            return refused(format!("there are no credentials; {SET_CREDENTIALS}"));
        }
        match code {
            Some("NoSuchBucket") => refused(
                "there is no such bucket (NoSuchBucket); make it, or correct its name or AWS_ENDPOINT_URL"
                    .to_owned(),
            ),
            Some(code) if UNKNOWN_CREDENTIALS.contains(&code) => {
                refused(format!("the server does not accept the credentials ({code}); {SET_CREDENTIALS}"))
            }
            Some("RequestTimeTooSkewed") => refused(
                "the clock of this host differs from the server's (RequestTimeTooSkewed); set it".to_owned(),
            ),
            Some(code) if OTHER_REGION.contains(&code) => {
                refused(format!("the bucket is in another region ({code}); set AWS_REGION"))
            }
            _ if innermost.contains("redirect without LOCATION") => {
                refused("the bucket is in another region; set AWS_REGION".to_owned())
            }
            _ if matches!(error, object_store::Error::NotFound { .. }) => {
                Self { kind: BucketErrorKind::NotFound, text: format!("it does not exist ({answer})") }
            }
            _ if matches!(error, object_store::Error::Unauthenticated { .. }) => {
                refused(format!("the server does not accept the credentials ({answer}); {SET_CREDENTIALS}"))
            }
            _ if matches!(error, object_store::Error::PermissionDenied { .. })
                || code == Some("AccessDenied") =>
            {
                refused(format!("the server refuses it ({answer}); {ALLOW}"))
            }
            _ if transport && innermost.contains("certificate") => refused(format!(
                "{endpoint} does not prove who it is ({answer}); name its authority's certificate with SSL_CERT_FILE"
            )),
            _ if transport => unreachable(format!(
                "{endpoint} cannot be reached ({answer}); check that it runs, and AWS_ENDPOINT_URL"
            )),
            _ if status.is_some_and(|status| status.starts_with('5') || status.starts_with("429")) => {
                unreachable(format!("{endpoint} cannot do it now ({answer})"))
            }
            _ if status.is_some() => refused(format!("the server refuses it ({answer})")),
            _ => refused(answer),
        }
    }
}

/// An error with all its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let (mut chain, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next {
        chain.push(error);
        next = error.source();
    }
    chain
}

const SET_CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and for temporary ones \
                               AWS_SESSION_TOKEN, in the environment of this program";
const ALLOW: &str = "allow these credentials s3:GetObject, s3:PutObject, s3:DeleteObject and \
                     s3:AbortMultipartUpload on its objects, and s3:ListBucket on the bucket";
const UNKNOWN_CREDENTIALS: [&str; 6] = [
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
];
const OTHER_REGION: [&str; 3] =
    ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"];

/// What the server answered, without the rest of its response.
fn answer(code: Option<&str>, message: Option<&str>, status: Option<&str>) -> Option<String> {
    match (code, message) {
        (Some(code), Some(message)) => Some(format!("{}: {}", shortened(code), shortened(message))),
        (Some(code), None) => Some(shortened(code)),
        _ => status.map(shortened),
    }
}

/// The content of the first element of this name, if it is only text.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    (!content.contains('<') && !content.is_empty()).then_some(content)
}

/// The status in the message of an error, such as `503 Service Unavailable`.
fn status(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.split([':', '<']).next().map(str::trim)
}

fn shortened(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let plain: String = plain.take(LONGEST_MESSAGE).collect();
    plain.trim().trim_end_matches('.').to_owned()
}

/// A URL as it may be shown: without the name and the password that it may have.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match host.rsplit_once('@') {
        Some((secret, _)) => format!("{scheme}://{}", &rest[secret.len() + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(
        error: impl Fn(Box<dyn Error + Send + Sync>) -> object_store::Error,
        body: &str,
    ) -> BucketError {
        BucketError::of(&error(body.to_owned().into()), "https://s3.example")
    }

    #[test]
    fn of_a_response_only_code_and_message_are_shown() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code>\
                    <Message>The signature differs.</Message><AWSAccessKeyId>AKIAHIDDEN</AWSAccessKeyId>\
                    <CanonicalRequest>x-amz-security-token:TOKENHIDDEN</CanonicalRequest></Error>";
        let denied = |source| object_store::Error::PermissionDenied { path: "p".to_owned(), source };
        let error = explained(denied, body);
        assert_eq!(error.kind, BucketErrorKind::Refused);
        assert!(!format!("{error} {error:?}").contains("HIDDEN"), "{error:?}");
        assert!(error.to_string().contains("(SignatureDoesNotMatch); set AWS_ACCESS_KEY_ID"), "{error}");
        let error = explained(denied, "Server returned non-2xx status code: 403 Forbidden: TOKENHIDDEN");
        assert!(error.to_string().contains("refuses it (403 Forbidden); allow"), "{error}");
        assert!(!error.to_string().contains("HIDDEN"), "{error}");
    }

    #[test]
    fn a_server_that_is_overloaded_may_answer_later() {
        let generic = |source| object_store::Error::Generic { store: "S3", source };
        let error = explained(
            generic,
            "Server returned non-2xx status code: 503 Service Unavailable: <html>no</html>",
        );
        assert_eq!(error.kind, BucketErrorKind::Unreachable);
        assert_eq!(error.to_string(), "https://s3.example cannot do it now (503 Service Unavailable)");
    }

    #[test]
    fn urls_are_shown_without_passwords() {
        for (url, shown) in [
            ("http://user:se@cret@host:9000/p@th", "http://host:9000/p@th"),
            ("https://host", "https://host"),
            ("host", "host"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
