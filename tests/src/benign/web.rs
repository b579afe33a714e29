//! People and programs that speak HTTP.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{Guest, strings};
use crate::{
    site::{ASSETS, PARTS},
    web::Connection,
};

/// A person with a browser: six connections that are kept, a page of a dozen parts, a pause for reading.
pub(super) fn browsing(guest: &Guest<'_>) -> Result<()> {
    each(6, |lane| {
        let mut connection = Connection::open(guest.server())?;
        loop {
            if lane == 0 {
                connection.get("/index.html")?;
            }
            for part in (lane..ASSETS).step_by(6) {
                connection.get(&format!("/asset{part}.css"))?;
            }
            if !guest.stop.sleep(Duration::from_secs(2)) {
                return Ok(());
            }
        }
    })
}

pub(super) fn curl(guest: &Guest<'_>, args: &[&str]) -> Result<()> {
    let common = ["-sS", "-f", "--connect-timeout", "8", "--speed-limit", "500", "--speed-time", "8"];
    guest.tool("curl", &strings(&[&common, args].concat()))
}

pub(super) fn download(guest: &Guest<'_>) -> Result<()> {
    curl(guest, &["--limit-rate", "40M", "-o", "/dev/null", &guest.url("/big.bin")])
}

pub(super) fn slow_download(guest: &Guest<'_>) -> Result<()> {
    curl(guest, &["-o", "/dev/null", &guest.url("/big.bin")])
}

pub(super) fn slow_upload(guest: &Guest<'_>) -> Result<()> {
    let file = guest.dir.join("web/asset0.css").display().to_string();
    while !guest.stop.reached() {
        curl(guest, &["-o", "/dev/null", "-T", &file, &guest.url("/app/upload")])?;
        let page = guest.dir.join("web/upload.bin").display().to_string();
        curl(guest, &["-o", "/dev/null", "-T", &page, &guest.url("/app/upload")])?;
    }
    Ok(())
}

/// A program that takes no more than it needs: its window closes for seconds, again and again.
pub(super) fn slow_reader(guest: &Guest<'_>) -> Result<()> {
    guest.tool("curl", &strings(&["-sSf", "--limit-rate", "60k", "-o", "/dev/null", &guest.url("/big.bin")]))
}

/// A program that calls as fast as it is answered, over six connections.
pub(super) fn api(guest: &Guest<'_>) -> Result<()> {
    each(6, |_| {
        let mut connection = Connection::open(guest.server())?;
        while !guest.stop.reached() {
            // nginx ends a connection after a thousand requests, which is no harm.
            for _ in 0..900 {
                connection.get("/app/items")?;
                if guest.stop.reached() {
                    return Ok(());
                }
            }
            connection = Connection::open(guest.server())?;
        }
        Ok(())
    })
}

pub(super) fn long_poll(guest: &Guest<'_>) -> Result<()> {
    each(8, |_| {
        let mut connection = Connection::open(guest.server())?.patient(Duration::from_millis(500))?;
        let mut begun = Instant::now();
        connection.send("GET /app/poll HTTP/1.1\r\nHost: lab.test\r\n\r\n")?;
        while guest.stop.sleep(Duration::from_millis(200)) {
            if begun.elapsed() > Duration::from_secs(31) {
                connection = connection.patient(Duration::from_secs(3))?;
                connection.answer().context("a long poll was not answered")?;
                connection.send("GET /app/poll HTTP/1.1\r\nHost: lab.test\r\n\r\n")?;
                begun = Instant::now();
            }
        }
        Ok(())
    })
}

pub(super) fn web_socket(guest: &Guest<'_>) -> Result<()> {
    each(3, |_| {
        let mut connection = Connection::open(guest.server())?;
        connection.upgrade("/app/socket")?;
        loop {
            connection.echo(b"still here")?;
            if !guest.stop.sleep(Duration::from_secs(20)) {
                return connection.echo(b"good bye");
            }
        }
    })
}

/// Browsers open connections before they know that they need them, and leave them idle.
pub(super) fn preconnect(guest: &Guest<'_>) -> Result<()> {
    let mut connections = (0..6).map(|_| Connection::open(guest.server())).collect::<Result<Vec<_>>>()?;
    connections[0].get("/index.html")?;
    while guest.stop.sleep(Duration::from_millis(500)) {}
    Ok(())
}

/// Twenty-five people behind one address.
pub(super) fn office(guest: &Guest<'_>) -> Result<()> {
    each(25, |person| {
        guest.stop.sleep(Duration::from_millis(150 * person as u64));
        while !guest.stop.reached() {
            let mut connection = Connection::open(guest.server())?;
            connection.get("/index.html")?;
            for part in 0..4 {
                connection.get(&format!("/asset{part}.css"))?;
                guest.stop.sleep(Duration::from_millis(300));
            }
            guest.stop.sleep(Duration::from_secs(3));
        }
        Ok(())
    })
}

/// A person who presses F5 ten times in ten seconds.
pub(super) fn reload_storm(guest: &Guest<'_>) -> Result<()> {
    let parts = guest.url(&format!("/asset[0-{}].css", ASSETS - 1));
    for _ in 0..10 {
        curl(guest, &["--parallel", "--parallel-max", "6", "-o", "/dev/null", &parts])?;
        if !guest.stop.sleep(Duration::from_millis(800)) {
            break;
        }
    }
    Ok(())
}

/// A shell loop over curl: a new connection for each request.
pub(super) fn curl_loop(guest: &Guest<'_>) -> Result<()> {
    while !guest.stop.reached() {
        curl(guest, &["-o", "/dev/null", &guest.url("/index.html")])?;
    }
    Ok(())
}

/// A program that asks seventy times a second over one connection.
pub(super) fn get_loop(guest: &Guest<'_>) -> Result<()> {
    let mut connection = Connection::open(guest.server())?;
    let mut asked = 0;
    while guest.stop.sleep(Duration::from_millis(14)) {
        if asked % 900 == 899 {
            connection = Connection::open(guest.server())?;
        }
        connection.get("/index.html")?;
        asked += 1;
    }
    Ok(())
}

/// A search engine: ten pages a second over four connections.
pub(super) fn crawler(guest: &Guest<'_>) -> Result<()> {
    each(4, |lane| {
        let mut connection = Connection::open(guest.server())?;
        let mut page = lane;
        while guest.stop.sleep(Duration::from_millis(400)) {
            if page % 200 >= 196 {
                connection = Connection::open(guest.server())?;
            }
            connection.get(&format!("/asset{}.css", page % ASSETS))?;
            page += 4;
        }
        Ok(())
    })
}

/// A test of a web page in a browser without a window: fifty-nine connections for one page, again after a while.
pub(super) fn headless(guest: &Guest<'_>) -> Result<()> {
    loop {
        each(59, |part| {
            let mut connection = Connection::open(guest.server())?;
            connection.get(&format!("/asset{}.css", part % ASSETS))?;
            guest.stop.sleep(Duration::from_secs(1));
            Ok(())
        })?;
        if !guest.stop.sleep(Duration::from_secs(6)) {
            return Ok(());
        }
    }
}

/// Packages from a mirror, six at once.
pub(super) fn mirror(guest: &Guest<'_>) -> Result<()> {
    let parts = guest.url(&format!("/part[0-{}].bin", PARTS - 1));
    while guest.stop.sleep(Duration::from_secs(2)) {
        curl(guest, &["--parallel", "--parallel-max", "6", "--limit-rate", "5M", "-o", "/dev/null", &parts])?;
    }
    Ok(())
}

/// A film: a part of it every two seconds, over one connection.
pub(super) fn video(guest: &Guest<'_>) -> Result<()> {
    let mut connection = Connection::open(guest.server())?;
    for part in (0..PARTS).cycle() {
        connection.get(&format!("/part{part}.bin"))?;
        if !guest.stop.sleep(Duration::from_secs(2)) {
            break;
        }
    }
    Ok(())
}

/// Three pages that wait for events.
pub(super) fn events(guest: &Guest<'_>) -> Result<()> {
    each(3, |_| {
        let mut connection = Connection::open(guest.server())?;
        connection.subscribe("/app/events")?;
        while !guest.stop.reached() {
            connection.event()?;
        }
        Ok(())
    })
}

/// Does `work` on each of `count` threads until the first error.
pub(super) fn each(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|i| {
                scope.spawn({
                    let work = &work;
                    move || work(i)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })
}
