//! Who may see the metrics, and that refused calls are counted.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use colearn_access::Role;
use colearn_proto::v1;
use tonic::{Code, body::Body, codegen::http, transport::Channel};
use tower::{Service as _, ServiceExt as _};

use crate::support::secured::Secured;

async fn scrape(channel: &mut Channel) -> (u16, String) {
    let request = http::Request::get("http://coordinator/metrics").body(Body::empty()).unwrap();
    let answer = channel.ready().await.unwrap().call(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn who_may_look_sees_the_metrics_and_workers_do_not() {
    let secured = Secured::start().await;
    let file = |role, name| secured.file(role, name);
    let channel = async |file: &Path| secured.channel(file).await;
    for (role, name) in [(Role::Look, "prometheus"), (Role::Operate, "anna")] {
        let (status, text) = scrape(&mut channel(&file(role, name)).await).await;
        assert_eq!(status, 200, "{text}");
        assert!(text.contains("colearn_certificate_expiry_timestamp_seconds 1"), "{text}");
    }
    let (status, text) = scrape(&mut channel(&file(Role::Work, "w1")).await).await;
    assert_eq!(status, 403);
    assert!(text.contains("does not allow this") && !text.contains("colearn_"), "{text}");
}

#[tokio::test]
async fn refused_calls_are_counted_with_their_code() {
    let secured = Secured::start().await;
    let mut channel = secured.channel(&secured.file(Role::Look, "prometheus")).await;
    let mut sweeps = v1::sweep_service_client::SweepServiceClient::new(channel.clone());
    let cancel = v1::CancelSweepRequest { name: "none".to_owned() };
    assert_eq!(sweeps.cancel_sweep(cancel).await.unwrap_err().code(), Code::PermissionDenied);
    let request = v1::GetSweepRequest { name: "none".to_owned(), ..Default::default() };
    assert_eq!(sweeps.get_sweep(request).await.unwrap_err().code(), Code::NotFound);
    sweeps.list_sweeps(v1::ListSweepsRequest::default()).await.unwrap();
    let (_, text) = scrape(&mut channel).await;
    for (method, code) in
        [("CancelSweep", "PERMISSION_DENIED"), ("GetSweep", "NOT_FOUND"), ("ListSweeps", "OK")]
    {
        let line = format!(
            "colearn_grpc_requests_total{{method=\"colearn.v1.SweepService/{method}\",code=\"{code}\"}} 1\n"
        );
        assert!(text.contains(&line), "{line}{text}");
    }
}
