//! The mirror in a database that several clusters may share.

use super::{NAME, Visitor};
use crate::{
    MirrorSettings, MirroredEvents, MirroredRuns,
    kinds::{Choice, List, MaybeFile, Number, Size, Word},
};

/// The most clusters that are followed: each is a connection to the database.
const FOLLOWED: usize = 16;

/// An address of a database; whether it is one, the mirror says.
const DATABASE: Word = Word {
    expected: "an address like \"https://NAME.firebaseio.com\", or nothing",
    longest: 512,
    empty: true,
    accepts: |c| c.is_ascii_graphic() && c != '"' && c != '\\',
};

/// A cluster's name.
const CLUSTER: Word = Word {
    expected: "the name of a cluster (1 to 64 letters, digits, dots, dashes or underscores)",
    empty: false,
    ..NAME
};

const ALONE: Word = Word { expected: "the name of a cluster, or nothing", empty: true, ..CLUSTER };

const RUNS: Choice<MirroredRuns> =
    Choice(&[("all", MirroredRuns::All), ("own", MirroredRuns::Own), ("none", MirroredRuns::None)]);

const EVENTS: Choice<MirroredEvents> = Choice(&[
    ("auto", MirroredEvents::Auto),
    ("always", MirroredEvents::Always),
    ("none", MirroredEvents::None),
]);

pub(super) fn mirror(v: &mut impl Visitor, mirror: &mut MirrorSettings) {
    let MirrorSettings { url, account, secret, runs, events, cluster, follow, outbox_items, outbox_bytes } =
        mirror;
    v.section(
        "mirror",
        "A Firebase Realtime Database that clusters share: what is signed here goes there, what other clusters signed comes back. Changes hold from the next start.",
    );
    v.item("url", "The database. Empty: there is none.", DATABASE, url);
    v.item("account", "The key file (JSON) of the service account that may write to it.", MaybeFile, account);
    v.item(
        "secret",
        "The file of the database's secret, where there is no service account.",
        MaybeFile,
        secret,
    );
    v.item(
        "runs",
        "Whose signed words this node sends: all of its cluster's, its own (where every node has a mirror), or none.",
        RUNS,
        runs,
    );
    v.item(
        "events",
        "When this node sends its own events and blocks, which only people and their tools read: as long as no coordinator was connected, always (where a coordinator has no mirror), or never.",
        EVENTS,
        events,
    );
    v.item(
        "cluster",
        "The name under which a node that is in no cluster sends its events and blocks. Empty: such a node sends nothing.",
        ALONE,
        cluster,
    );
    v.item(
        "follow",
        "Other clusters to listen to. What they block is followed once their root is believed: smartfw-cli trust add --root FILE.",
        List(CLUSTER, FOLLOWED),
        follow,
    );
    v.item(
        "outbox_items",
        "So many signed words may wait for the database; of more the oldest are dropped.",
        Number(1_000..=100_000_000),
        outbox_items,
    );
    v.item("outbox_bytes", "Their bytes, on disk.", Size(16 << 20..=1 << 40), outbox_bytes);
}
