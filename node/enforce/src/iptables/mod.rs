//! The enforcer made of ipset sets and iptables rules.

mod hooks;
mod kernel;
mod listing;
mod rules;
mod tool;

use std::{collections::BTreeMap, path::Path};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};

use self::{hooks::Hooks, kernel::KernelSets, tool::Tool};
pub use self::{rules::Table, tool::Backend};
use crate::{
    Applied, Counters, Destroyed, EnforceError, Enforcer, Finding, Installed, Removed, Tally, Trouble,
    destroy,
    netlink::{Socket, nftables},
    sets::Family,
};

/// How iptables is used. The default is right for every host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which of the kernel's two rule engines.
    pub backend: Backend,
    /// Tables to keep out of, as if they could not be had.
    pub avoid: Vec<Table>,
}

/// Drops by ipset sets that iptables rules consult. It belongs to the network namespace of the thread that opened it.
pub struct Iptables {
    backend: Backend,
    /// The engine behind `backend`: never [`Backend::Default`].
    engine: Backend,
    sets: KernelSets,
    v4: Hooks,
    v6: Hooks,
    /// Why IPv6 is not enforced.
    no_v6: Option<String>,
    nftables: Socket,
    /// The generation of nf_tables' rules at which ours were last found in order.
    seen: Option<u32>,
}

impl Iptables {
    /// Opens it, and changes nothing.
    ///
    /// # Errors
    /// When iptables is not installed, the kernel has no ipset, or CAP_NET_ADMIN is missing.
    pub fn open(options: Options) -> Result<Self, EnforceError> {
        let Options { backend, avoid } = options;
        let engine = match backend {
            Backend::Default => tool::default_backend()?,
            chosen => chosen,
        };
        let hooks = |family| Hooks::new(Tool::new(family, backend), &avoid);
        Ok(Self {
            backend,
            engine,
            sets: KernelSets::open()?,
            v4: hooks(Family::V4),
            v6: hooks(Family::V6),
            no_v6: (!has_ipv6()).then(|| "IPv6 is switched off in this kernel".to_owned()),
            nftables: nftables::open()?,
            seen: None,
        })
    }
}

impl Enforcer for Iptables {
    fn name(&self) -> &'static str {
        "iptables"
    }

    fn install(&mut self, protected: &[IpNet]) -> Result<Installed, EnforceError> {
        self.seen = None;
        let mut mended = self.install_sets()?;
        let changes: Vec<_> = protected.iter().copied().map(Change::Protect).collect();
        if let Some(failed) = self.sets.apply(Time::ZERO, &changes)?.failed.pop() {
            let what = format!("protecting {} before the rules are made", failed.target);
            return Err(EnforceError::Kernel { what, why: failed.why });
        }
        // One family's trouble does not keep the other unprotected.
        let v6 = self.install_v6();
        mended.extend(self.v4.install()?);
        mended.extend(v6?);
        // Only now: until here the other engine's rules may be the only ones.
        mended.extend(self.leave_other_engine()?);
        Ok(Installed { mended, unavailable: self.unavailable(), hooks: self.hooks() })
    }

    fn remove(&mut self) -> Result<Removed, EnforceError> {
        self.seen = None;
        // Whatever keeps the rules from going, they drop nobody.
        let emptied = self.sets.empty();
        remove_rules()?;
        emptied?;
        Ok(Removed { left: self.sets.remove()? })
    }

    fn enforced(&mut self, now: Time) -> Result<Enforced, EnforceError> {
        self.sets.enforced(now)
    }

    fn apply(&mut self, now: Time, changes: &[Change]) -> Result<Applied, EnforceError> {
        self.sets.apply(now, changes)
    }

    fn replace(&mut self, now: Time, desired: &Enforced) -> Result<Applied, EnforceError> {
        self.sets.replace(now, desired)
    }

    fn counters(&mut self) -> Result<BTreeMap<IpNet, Counters>, EnforceError> {
        self.sets.counters()
    }

    fn verify(&mut self) -> Result<Vec<Finding>, EnforceError> {
        let mut findings = self.sets.verify()?;
        let generation = self.generation()?;
        if generation.is_some() && generation == self.seen {
            return Ok(findings);
        }
        let v6 = if self.no_v6.is_none() { self.v6.verify() } else { Ok(Vec::new()) };
        let rules = match (self.v4.verify(), v6) {
            (Ok(v4), Ok(v6)) => [v4, v6].concat(),
            // What one family lacks is mended, whatever the other's trouble.
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => found,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        // What changed after the generation was read raises it again.
        self.seen = generation.filter(|_| rules.is_empty());
        findings.extend(rules);
        Ok(findings)
    }

    fn tally(&mut self) -> Result<Tally, EnforceError> {
        self.sets.tally()
    }

    fn destroy(&mut self, target: IpNet) -> Result<Destroyed, EnforceError> {
        destroy::destroy(target, &self.sets.protected()?)
    }

    fn destroy_all(&mut self, targets: &[IpNet]) -> Result<Destroyed, EnforceError> {
        destroy::destroy_all(targets, &self.sets.protected()?)
    }
}

impl Iptables {
    /// Makes the sets. Rules have to let go of a set of another make before it can be replaced.
    fn install_sets(&mut self) -> Result<Vec<Finding>, EnforceError> {
        let findings = self.sets.verify()?;
        if findings.iter().any(|finding| finding.trouble == Trouble::Altered) {
            remove_rules()?;
        }
        self.sets.ensure()?;
        Ok(findings)
    }

    /// IPv6 is done without where it cannot be had; what may work at the next attempt is an error.
    fn install_v6(&mut self) -> Result<Vec<Finding>, EnforceError> {
        if !has_ipv6() {
            self.no_v6 = Some("IPv6 is switched off in this kernel".into());
            return Ok(Vec::new());
        }
        self.no_v6 = None;
        match self.v6.install() {
            Err(EnforceError::NoTable { why }) => {
                self.no_v6 = Some(why);
                Ok(Vec::new())
            }
            outcome => outcome,
        }
    }

    fn leave_other_engine(&self) -> Result<Vec<Finding>, EnforceError> {
        let (other, name) = match self.engine {
            Backend::Legacy => (Backend::Nft, "iptables-nft"),
            _ => (Backend::Legacy, "iptables-legacy"),
        };
        let removed = clean(other)?;
        Ok(removed
            .into_iter()
            .map(|what| Finding::new(Trouble::Foreign, format!("{what} of {name}")))
            .collect())
    }

    fn unavailable(&self) -> Vec<Finding> {
        let lost = |hooks: &Hooks, family: Family| -> Vec<Finding> {
            let text = |(table, why)| format!("table {table} ({family}) cannot be used: {why}");
            hooks.unavailable().map(|lost| Finding::new(Trouble::Unavailable, text(lost))).collect()
        };
        let mut findings = lost(&self.v4, Family::V4);
        match &self.no_v6 {
            Some(why) => {
                findings.push(Finding::new(Trouble::Unavailable, format!("IPv6 is not enforced: {why}")))
            }
            None => findings.extend(lost(&self.v6, Family::V6)),
        }
        findings
    }

    fn hooks(&self) -> Vec<String> {
        let engine = if self.engine == Backend::Legacy { "legacy" } else { "nft" };
        let families = [(&self.v4, Family::V4), (&self.v6, Family::V6)];
        let used = families.into_iter().filter(|(_, family)| *family == Family::V4 || self.no_v6.is_none());
        let name = |(hooks, family): (&Hooks, Family)| {
            let places = hooks.places().into_iter();
            places
                .map(move |place| format!("{} {} ({family}, {engine})", place.table, place.table.hooks()[0]))
                .collect::<Vec<_>>()
        };
        used.flat_map(name).collect()
    }

    /// The generation of the rules; `None` where the engine has none.
    fn generation(&mut self) -> Result<Option<u32>, EnforceError> {
        if self.engine == Backend::Legacy {
            return Ok(None);
        }
        let what = "asking for the generation of nf_tables' rules";
        nftables::generation(&mut self.nftables)
            .map_err(|failure| EnforceError::system(what)(nix::Error::from_raw(failure.code())))
    }

    /// The back end as it was asked for.
    pub fn backend(&self) -> Backend {
        self.backend
    }
}

/// Removes our rules and chains from both engines and both families, and says what there was.
pub(crate) fn remove_rules() -> Result<Vec<String>, EnforceError> {
    let mut removed = Vec::new();
    let mut failure = None;
    for backend in [Backend::Nft, Backend::Legacy] {
        match clean(backend) {
            Ok(what) => removed.extend(what),
            // The other engine is still worth cleaning.
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(removed), Err)
}

/// The kernel's sets, for those who work without an enforcer.
pub(crate) use self::kernel::KernelSets as Sets;

/// What a person with nothing but `iptables-restore` needs: the rules of one family in the best tables.
pub(crate) fn restore_file(family: Family) -> String {
    let tool = Tool::new(family, Backend::Default);
    let table = |place: rules::Place| {
        let jump = hooks::jump(place.table.hooks()[0]);
        tool::text(place.table, &hooks::fill(place, tool).chain([jump]).collect::<Vec<_>>())
    };
    rules::places(|_| true).into_iter().map(table).collect()
}

/// Removes our rules and chains from one engine, if its programs are installed.
fn clean(backend: Backend) -> Result<Vec<String>, EnforceError> {
    let (mut removed, mut failure) = (Vec::new(), None);
    let families = Family::ALL.into_iter().filter(|family| *family == Family::V4 || has_ipv6());
    for tool in families.filter_map(|family| tool_of(family, backend)) {
        let tables = match backend {
            Backend::Legacy => tool.legacy_tables(),
            _ => Table::ALL.to_vec(),
        };
        for table in tables {
            match hooks::remove(tool, table) {
                Ok(true) => removed.push(format!("chain SMARTFW in table {table} ({})", tool.family)),
                Ok(false) => {}
                // A table that this tool cannot read holds nothing that it wrote.
                Err(error) if tool::unusable(&error) && tool.list(table).is_err() => {}
                // The other tables are still worth cleaning.
                Err(error) => failure = Some(error),
            }
        }
    }
    failure.map_or(Ok(removed), Err)
}

/// The programs of one engine. Old systems have one engine only, the old one, behind the plain names.
fn tool_of(family: Family, backend: Backend) -> Option<Tool> {
    let named = Tool::new(family, backend);
    let plain = Tool::new(family, Backend::Default);
    let only = || backend == Backend::Legacy && matches!(tool::default_backend(), Ok(Backend::Legacy));
    if named.installed() { Some(named) } else { (plain.installed() && only()).then_some(plain) }
}

fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}
