//! The server that is told.

use std::{error::Error, fmt, io, time::Duration};

use colearn_access::Moment;
use reqwest::{Client, StatusCode, Url, header::RETRY_AFTER, redirect::Policy};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use super::signature::Secrets;

/// Time for a connection, and for an answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// The longest wait that a server can ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A server that is told of events by signed POST requests.
#[derive(Clone)]
pub struct Webhook {
    client: Client,
    url: Url,
    secrets: Secrets,
}

/// A webhook cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It is no address.
    #[error("the webhook is no URL ({0}): write it like https://example.org/hooks/colearn")]
    Url(String),
    /// It is an address of another protocol.
    #[error("the webhook is a URL of `{0}`, not of http or https")]
    Scheme(String),
    /// TLS is not possible here.
    #[error(
        "HTTPS is not possible here ({0}): install the certificates of authorities (Debian: ca-certificates)"
    )]
    Tls(String),
}

/// Why a receiver was not told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// The wait that it asks for.
    pub(super) wait: Option<Duration>,
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self { why, wait: None }
    }
}

impl Webhook {
    /// A webhook at this address.
    ///
    /// # Errors
    /// If it is not an address of HTTP, or HTTPS is not possible here.
    pub fn new(url: &str, secrets: Secrets) -> Result<Self, WebhookError> {
        let url = Url::parse(url).map_err(|error| WebhookError::Url(error.to_string()))?;
        let mut client = Client::builder()
            .user_agent(concat!("colearn/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // Messages are rare: no connection is kept.
            .pool_max_idle_per_host(0);
        let is_secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(WebhookError::Scheme(other.to_owned())),
        };
        client = client.tls_backend_preconfigured(tls(is_secure)?);
        if is_here(&url) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| WebhookError::Tls(causes(&error)))?;
        Ok(Self { client, url, secrets })
    }

    /// Sends an event once.
    pub(super) async fn send(&self, id: &str, body: &str) -> Result<(), Trouble> {
        let now = Moment::now().0;
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", self.secrets.sign(id, now, body))
            .body(body.to_owned());
        let answer = request.send().await.map_err(|error| causes(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let wait = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
        let not_followed = if status.is_redirection() { ", and redirections are not followed" } else { "" };
        Err(Trouble { why: format!("it answered {}{not_followed}", in_words(status)), wait })
    }
}

/// `503 Service Unavailable`.
fn in_words(status: StatusCode) -> String {
    status
        .canonical_reason()
        .map_or_else(|| status.as_str().to_owned(), |reason| format!("{} {reason}", status.as_str()))
}

/// TLS with the authorities that this system trusts; if it is not needed, with none.
fn tls(is_needed: bool) -> Result<ClientConfig, WebhookError> {
    let refused = |error: rustls::Error| WebhookError::Tls(error.to_string());
    let provider = rustls::crypto::ring::default_provider();
    let versions = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    let versions = versions.map_err(refused)?;
    let trusting = if is_needed {
        versions.with_platform_verifier().map_err(refused)?
    } else {
        versions.with_root_certificates(RootCertStore::empty())
    };
    Ok(trusting.with_no_client_auth())
}

/// Whether a URL names this host, which is reached without a proxy.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An error with its causes, and what to do about it if that is known.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    if let Some(remedy) = remedy(error) {
        text.push_str(&format!(": {remedy}"));
    }
    text
}

/// The error of TLS among the causes of an error. An error of the system does not name what it holds as its source.
fn of_tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let held = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let own = error.downcast_ref();
    own.or_else(|| held().and_then(|held| of_tls(held))).or_else(|| error.source().and_then(of_tls))
}

/// What to do about a server that TLS refuses.
fn remedy(error: &reqwest::Error) -> Option<&'static str> {
    let refused = of_tls(error)?;
    match refused {
        // The signature is bad where an authority of the same name is trusted.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => Some(
            "this host does not trust who signed its certificate: add that authority to those of the host, or start the \
             coordinator with a file that has its certificate in SSL_CERT_FILE",
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some("its certificate is for another name: write the name in the certificate in the URL"),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Some("its certificate has expired: renew it there, or set the clock of this host"),
        rustls::Error::InvalidMessage(_) => Some("it does not speak TLS: is it a server of http://?"),
        _ => None,
    }
}

impl fmt::Display for Webhook {
    /// Scheme, host and port: everything else may be secret, with some services also the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        self.url.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str) -> Result<Webhook, WebhookError> {
        Webhook::new(url, Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap())
    }

    #[test]
    fn what_may_be_secret_in_an_address_is_not_shown() {
        let shown = webhook("http://anna:hunter2@127.0.0.1:81/hooks/hunter2?token=hunter2#hunter2").unwrap();
        assert_eq!(shown.to_string(), "http://127.0.0.1:81");
        assert_eq!(format!("{shown:?}"), "Webhook(http://127.0.0.1:81)");
        assert_eq!(webhook("http://[::1]/").unwrap().to_string(), "http://[::1]");
    }

    #[tokio::test]
    async fn an_error_does_not_name_the_query() {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let hook = webhook(&format!("http://anna:hunter2@{unused}/?token=hunter2")).unwrap();
        let trouble = hook.send("msg_1", "{}").await.unwrap_err();
        assert!(trouble.why.contains("refused") && !trouble.why.contains("hunter2"), "{trouble:?}");
    }

    #[test]
    fn another_protocol_is_refused() {
        assert!(matches!(webhook("ftp://127.0.0.1/"), Err(WebhookError::Scheme(_))));
        assert!(matches!(webhook("example.org/hooks"), Err(WebhookError::Url(_))));
        assert!(webhook("https://127.0.0.1/").is_ok());
    }
}
