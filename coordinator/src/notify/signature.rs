//! Signatures as in Standard Webhooks 1.0.0.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What secrets begin with.
const PREFIX: &str = "whsec_";
/// The lengths that the standard allows, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// The secrets that bodies are signed with: usually one, several while a receiver goes over to a new one.
#[derive(Clone)]
pub struct Secrets(Vec<Vec<u8>>);

/// The text is no list of secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: a secret is `whsec_` and the base64 of 24 to 64 random bytes, one a line, such as from: \
     echo \"whsec_$(openssl rand -base64 32)\""
)]
pub struct SecretsError(String);

impl Secrets {
    /// Reads secrets, one a line.
    ///
    /// # Errors
    /// If there is none, or one is malformed. The error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        let secret = |(index, line): (usize, &str)| {
            let wrong =
                |what: &str| SecretsError(format!("line {} of the webhook's secrets {what}", index + 1));
            let code = line.strip_prefix(PREFIX).ok_or_else(|| wrong("does not begin with `whsec_`"))?;
            let bytes = STANDARD.decode(code).map_err(|_| wrong("is not base64"))?;
            if LENGTHS.contains(&bytes.len()) { Ok(bytes) } else { Err(wrong("is too short or too long")) }
        };
        let secrets = lines.map(secret).collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() {
            return Err(SecretsError("there is no secret for the webhook".to_owned()));
        }
        Ok(Self(secrets))
    }

    /// The header `webhook-signature` of a body, signed at this time (seconds since the Unix epoch).
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let signature = |secret: &Vec<u8>| {
            // Keys may have any length.
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(format!("{id}.{seconds}.{body}").as_bytes());
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        };
        self.0.iter().filter_map(signature).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} of them)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference implementations of Standard Webhooks.
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        assert_eq!(
            secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert!(!format!("{secrets:?}").contains("MfKQ"));
    }

    #[test]
    fn several_secrets_sign_while_one_replaces_another() {
        let line = |byte: u8| format!("whsec_{}", STANDARD.encode([byte; 32]));
        let both = Secrets::parse(&format!("{}\n\n  {}\n", line(1), line(2))).unwrap().sign("msg_1", 7, "{}");
        let alone = |byte| Secrets::parse(&line(byte)).unwrap().sign("msg_1", 7, "{}");
        assert_eq!(both, format!("{} {}", alone(1), alone(2)));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_repeating_it() {
        for (text, why) in [
            ("", "there is no secret"),
            ("hunter2", "line 1 of the webhook's secrets does not begin with"),
            ("\nwhsec_hunter2!", "line 2 of the webhook's secrets is not base64"),
            ("whsec_aHVudGVyMg==", "is too short or too long"),
        ] {
            let error = Secrets::parse(text).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
    }
}
