//! FTP's second connection, which the server begins on the client's word.

use super::{Sensor, conversation::Ends, rules, source::Asked};
use crate::packet::Tcp;

/// FTP servers connect from this port to where a client told them to.
const FTP_DATA: u16 = 20;

impl Sensor {
    /// An FTP server connects where its client told it to (RFC 959, PORT). What it finds there, it finds for the
    /// client: a bounce scan is the client's, and proven by the session that carries the orders.
    pub(super) fn is_ftp_errand(&mut self, ends: &Ends, tcp: &Tcp<'_>) -> bool {
        let (server, client, answer) = match (ends.source_port, ends.destination_port) {
            (FTP_DATA, _) => (ends.source, ends.destination, false),
            (_, FTP_DATA) => (ends.destination, ends.source, true),
            _ => return false,
        };
        let (now, keyed, rule) = (self.now, self.keyed, self.rules.port_scan.clone());
        let port = if answer { ends.source_port } else { ends.destination_port };
        let hash = keyed.address(client);
        let Some(source) = self.proven.get_mut(hash, &client) else { return false };
        if source.ftp_server != Some(server) {
            return false;
        }
        let asked = Asked::new(&keyed, client, port);
        if answer && tcp.flags.is_syn_ack() {
            source.tcp.clear(asked);
            source.slow.clear(asked);
        } else if !answer && tcp.flags.is_syn() {
            source.window.add(now, |counts| counts.probes += 1);
            source.slow.mark(now, asked);
            source.tcp.mark(now, asked);
            let finding = rules::port_scan(source, now, &rule);
            self.accuse(client, finding);
        }
        true
    }
}
