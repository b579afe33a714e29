//! Who is who in a cluster.
