//! A load balancer: whoever connects to it reaches the server under the balancer's own address.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    attack::starve,
    net::{Host, Net, SERVER_V4, Side},
    process::Stop,
    web::Connection,
};

/// Passes port 80 of this host on to the server, for as long as the process lives.
pub fn serve(host: &Host) -> Result<()> {
    host.namespace.inside(|| -> Result<()> {
        let listener =
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).context("the balancer cannot listen")?;
        // Threads stay in the namespace of the thread that starts them.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || pass(client));
            }
        });
        Ok(())
    })?
}

/// Ten people and one slowloris come through the balancer until `stop`; an error when one of the ten was not served.
pub fn crowd(net: &Net, balancer: &Host, stop: &Stop) -> Result<()> {
    const PEOPLE: usize = 10;
    let address = balancer.v4.into();
    let attacker = net.host(Side::Attackers)?;
    let people = (0..PEOPLE).map(|_| net.host(Side::Clients)).collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let threads: Vec<_> = people
            .iter()
            .map(|person| scope.spawn(move || person.namespace.inside(|| visit(address, stop))?))
            .collect();
        stop.sleep(Duration::from_secs(3));
        // The attack fails when it is held off; only the people's word counts.
        let attack = || starve(address, stop, 100, Duration::from_secs(5));
        let _ = attacker.namespace.inside(attack)?;
        while stop.sleep(Duration::from_millis(100)) {}
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a person panicked"))?)
    })
}

fn visit(balancer: IpAddr, stop: &Stop) -> Result<()> {
    while !stop.reached() {
        let mut connection = Connection::open(balancer)?;
        connection.get("/index.html")?;
        for asset in 0..3 {
            connection.get(&format!("/asset{asset}.css"))?;
            stop.sleep(Duration::from_millis(200));
        }
        stop.sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn pass(client: TcpStream) -> io::Result<()> {
    let server = TcpStream::connect((SERVER_V4, 80))?;
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let back = thread::spawn(move || copy(server, client));
    let sent = copy(from, to);
    let _ = back.join();
    sent
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let done = io::copy(&mut from, &mut to);
    // One direction's end is the other side's news; when it is gone already, so much the better.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
    done.map(|_| ())
}
