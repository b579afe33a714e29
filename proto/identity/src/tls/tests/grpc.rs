//! tonic over our connections.

use tokio::time::sleep;

use super::*;

/// Answers with the name of whoever asks.
#[derive(Clone)]
struct WhoAmI;

impl tonic::server::NamedService for WhoAmI {
    const NAME: &'static str = "who";
}

impl tower::Service<http::Request<tonic::body::Body>> for WhoAmI {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let member = request.extensions().get::<PeerInfo>().map(|info| info.peer.member.name.to_string());
        let stranger = request.extensions().get::<Stranger>().map(|_| "a stranger".to_owned());
        let name = member.or(stranger).unwrap_or_default();
        std::future::ready(Ok(http::Response::builder()
            .header("who", name)
            .body(tonic::body::Body::empty())
            .unwrap()))
    }
}

async fn asks(mut channel: tonic::transport::Channel) -> Option<String> {
    let uri = "http://peer/who/AmI";
    let request = http::Request::post(uri).header("content-type", "application/grpc");
    let request = request.body(tonic::body::Body::empty()).unwrap();
    std::future::poll_fn(|cx| tower::Service::poll_ready(&mut channel, cx)).await.ok()?;
    let answer = tower::Service::call(&mut channel, request).await.ok()?;
    Some(answer.headers()["who"].to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_tonic_server_knows_who_calls_it_and_a_refusal_is_told_before_the_first_call() {
    let world = World::new(system());
    let (node, operator) = (world.join(Role::Node, "web-1"), &world.founded.operator);
    let server = net(&world.founded.identity);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = server.listen(listener, Listening { roles: Roles::SERVING, joiners: true });
    let (members, joiners) = (accepted.members, accepted.joiners);
    tokio::spawn(tonic::transport::Server::builder().add_service(WhoAmI).serve_with_incoming(members));
    tokio::spawn(tonic::transport::Server::builder().add_service(WhoAmI).serve_with_incoming(joiners));
    let endpoint = || tonic::transport::Endpoint::from_static("http://peer");

    let stream = net(&node).dial(address, Expected::default()).await.unwrap();
    let called = channel(stream, endpoint()).await.unwrap();
    assert_eq!(asks(called.clone()).await.unwrap(), "smartfw://prod/default/web-1");

    let (stream, _) = world.token(Role::Node).dial(address).await.unwrap();
    assert_eq!(asks(channel(stream, endpoint()).await.unwrap()).await.unwrap(), "a stranger");

    let refused = net(operator).dial(address, Expected::default()).await;
    assert_eq!(refused_us(refused), RefusedUs::Denied);

    let operator = &world.founded.operator;
    let bytes = Revocation::by_operator(operator, node.id(), Role::Node, system()).unwrap();
    server.revocations.insert([bytes.as_slice()]).unwrap();
    let cut = timeout(HANDSHAKE, async {
        while asks(called.clone()).await.is_some() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(cut.await.is_ok(), "calls of the revoked end");
}
