//! What goes wrong between members: links cut, in one way or both, and packets lost.

use std::net::Ipv4Addr;

use super::wire::{Wire, address};

impl Wire {
    /// Cuts a node off, or connects it again.
    pub fn cut(&self, node: usize, cut: bool) {
        self.rule(node, "INPUT", &["-s", "10.77.0.0/24"], cut);
        self.rule(node, "OUTPUT", &["-d", "10.77.0.0/24"], cut);
    }

    /// Cuts what is between two sides, or connects them again.
    pub fn part(&self, one: &[usize], other: &[usize], cut: bool) {
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            self.deafen(a, address(b), cut);
            self.deafen(b, address(a), cut);
        }
    }

    /// A node hears nothing any more of an address, which hears it; or it does again.
    pub fn deafen(&self, node: usize, from: Ipv4Addr, deaf: bool) {
        self.rule(node, "INPUT", &["-s", &from.to_string()], deaf);
    }

    /// Every node loses so many per cent of what other members send, or no more. (`tc netem` does the same where the
    /// kernel has it.)
    pub fn lose(&self, percent: u8, lose: bool) {
        let share = format!("{:.2}", f64::from(percent) / 100.0);
        let chance = ["-s", "10.77.0.0/24", "-m", "statistic", "--mode", "random", "--probability", &share];
        (0..self.nodes.len()).for_each(|node| self.rule(node, "INPUT", &chance, lose));
    }

    /// A node neither sends nor receives the members' datagrams, or does again.
    pub fn mute(&self, node: usize, mute: bool) {
        self.rule(node, "INPUT", &["-p", "udp", "--dport", "7470"], mute);
        self.rule(node, "OUTPUT", &["-p", "udp", "--dport", "7470"], mute);
    }

    fn rule(&self, node: usize, chain: &str, which: &[&str], add: bool) {
        let change = if add { "-I" } else { "-D" };
        let mut command = self.nodes[node].command("iptables");
        command.args(["-w", "-t", "filter", change, chain]).args(which).args(["-j", "DROP"]);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
