//! What protects a browser's user from other pages: the name of the host, the origin of changes, and strict headers.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::error::ApiError;

/// Nothing but what the coordinator serves itself is loaded or called, and nothing frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Digits of a token that are part of the name of its cookie: cookies are those of all ports of a host.
const DIGITS_IN_NAME: usize = 8;

/// Checks each request for a page or the API.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Only the names of this host are accepted in `Host`: a name that somebody else lets point to loopback would let
    /// that page read everything.
    pub only_loopback: bool,
    /// The secret that clients need; `None` if the connection decides who may come in.
    pub token: Option<Token>,
}

/// A secret in the first URL that a browser opens, and then in a cookie.
#[derive(Clone)]
pub struct Token {
    secret: String,
    /// What stands for the secret in one URL, once.
    ticket: Arc<Mutex<Option<String>>>,
}

impl Token {
    /// A token of this text: hexadecimal digits, too many to be guessed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { secret: text, ticket: Arc::default() }
    }

    /// The first URL with `ticket` in the place of the token is answered too. It may be where others can see it, such as
    /// in the arguments of a program: once a browser has used it, it is worth nothing.
    #[must_use]
    pub fn with_ticket(self, ticket: String) -> Self {
        Self { ticket: Arc::new(Mutex::new(Some(ticket))), ..self }
    }

    fn is(&self, text: &str) -> bool {
        are_equal(&self.secret, text)
    }

    /// Whether a text is the ticket, which is used up then.
    fn takes(&self, text: &str) -> bool {
        let mut ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner);
        ticket.take_if(|ticket| are_equal(ticket, text)).is_some()
    }

    /// The name of the cookie.
    fn cookie(&self) -> String {
        format!("colearn_{}", self.secret.get(..DIGITS_IN_NAME).unwrap_or("token"))
    }
}

/// Compares secrets: the time does not depend on where they differ.
fn are_equal(own: &str, other: &str) -> bool {
    let (own, other) = (own.as_bytes(), other.as_bytes());
    own.len() == other.len() && own.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Checked::Pass => next.run(request).await,
        Checked::Answer(response) => *response,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

enum Checked {
    Pass,
    Answer(Box<Response>),
}

impl Guard {
    fn check(&self, request: &Request) -> Checked {
        let refused = |error: ApiError| Checked::Answer(Box::new(error.into_response()));
        let host = host_of(request.uri(), request.headers());
        if self.only_loopback && !host.as_deref().is_some_and(is_loopback) {
            return refused(ApiError::forbidden(
                "this coordinator listens on loopback only: open it as http://127.0.0.1 or http://localhost, with its port",
            ));
        }
        if let Some(token) = &self.token {
            if let Some(page) = with_token(request.uri(), token) {
                return Checked::Answer(Box::new(page));
            }
            if !has_token(request.headers(), token) {
                return refused(ApiError::forbidden(
                    "open the address that `colearn dashboard` has printed: it has the token",
                ));
            }
        }
        let looks = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !looks && is_of_another_page(request.headers(), host.as_deref()) {
            return refused(ApiError::forbidden("a page of another address may change nothing here"));
        }
        Checked::Pass
    }
}

/// The host of a request with its port: HTTP/2 has it in the URI, HTTP/1 in a header.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = || headers.get(header::HOST)?.to_str().ok();
    Some(uri.authority().map(|authority| authority.as_str()).or_else(header)?.to_ascii_lowercase())
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether the browser says that another page makes this request. Programs say nothing of this.
fn is_of_another_page(headers: &HeaderMap, host: Option<&str>) -> bool {
    let said = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let site = said("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let origin = said("origin").is_some_and(|origin| {
        let at = origin.split_once("://").map(|(_, at)| at);
        at.is_none() || at != host
    });
    site || origin
}

/// The answer to a URL with the right token: the same URL without it, and the cookie.
fn with_token(uri: &Uri, token: &Token) -> Option<Response> {
    let query = uri.query()?;
    let (given, kept): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| pair.starts_with("token="));
    let given = given.first()?.strip_prefix("token=")?;
    if !token.is(given) && !token.takes(given) {
        return None;
    }
    let to = match kept.join("&") {
        rest if rest.is_empty() => uri.path().to_owned(),
        rest => format!("{}?{rest}", uri.path()),
    };
    let to = HeaderValue::from_str(&to).ok()?;
    let cookie = format!("{}={}; HttpOnly; SameSite=Strict; Path=/", token.cookie(), token.secret);
    let cookie = HeaderValue::from_str(&cookie).ok()?;
    Some((StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::SET_COOKIE, cookie)]).into_response())
}

fn has_token(headers: &HeaderMap, token: &Token) -> bool {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    bearer.is_some_and(|given| token.is(given))
        || pairs.any(|(name, given)| name == token.cookie() && token.is(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_host_are_loopback() {
        for host in ["localhost:1", "127.0.0.1:7070", "127.9.9.9", "[::1]:80", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["evil.example:7070", "localhost.evil.example", "10.0.0.1:1", "127.0.0.1.evil.example", "", "["]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn changes_are_taken_from_own_pages_and_programs() {
        let of = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            is_of_another_page(&headers, Some("127.0.0.1:7070"))
        };
        assert!(!of(&[]));
        assert!(!of(&[("origin", "http://127.0.0.1:7070"), ("sec-fetch-site", "same-origin")]));
        assert!(of(&[("origin", "http://127.0.0.1:9999")]));
        assert!(of(&[("origin", "null")]));
        assert!(of(&[("sec-fetch-site", "cross-site")]));
        assert!(of(&[("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn a_token_is_taken_from_the_url_once_and_then_from_the_cookie() {
        let token = Token::new("abc123abc123".to_owned());
        let answer = with_token(&"/sweeps/demo?a=1&token=abc123abc123&b=2".parse().unwrap(), &token).unwrap();
        assert_eq!(answer.headers()[header::LOCATION], "/sweeps/demo?a=1&b=2");
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "x=1; colearn_abc123ab=abc123abc123".parse().unwrap());
        assert!(has_token(&headers, &token));
        headers.insert(header::COOKIE, "colearn_abc123ab=abc123abc124".parse().unwrap());
        assert!(!has_token(&headers, &token));
        headers.insert(header::AUTHORIZATION, "Bearer abc123abc123".parse().unwrap());
        assert!(has_token(&headers, &token));
        assert!(with_token(&"/?token=abc".parse().unwrap(), &token).is_none());
    }

    #[test]
    fn a_ticket_is_good_once() {
        let token = Token::new("abc123abc123".to_owned()).with_ticket("once".to_owned());
        let ask = |token: &Token| with_token(&"/?token=once".parse().unwrap(), token);
        assert!(with_token(&"/?token=onc".parse().unwrap(), &token).is_none());
        let cookie = ask(&token.clone()).unwrap().headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.starts_with("colearn_abc123ab=abc123abc123;"), "{cookie}");
        assert!(ask(&token).is_none());
    }

    #[test]
    fn dashboards_of_one_host_have_cookies_of_their_own() {
        let [one, other] = ["1111111122222222", "3333333344444444"].map(|text| Token::new(text.to_owned()));
        assert_ne!(one.cookie(), other.cookie());
    }
}
