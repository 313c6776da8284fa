//! The cluster as a parameter, and a type of that name that can be one.

use distwq::prelude::*;

#[remote]
fn submits(cluster: &Cluster, x: f64) -> f64 {
    x * cluster.workers() as f64
}

#[remote]
fn owns(x: f64, cluster: distwq::Cluster) -> f64 {
    x * cluster.workers() as f64
}

mod of_values {
    use distwq::prelude::remote;

    pub struct Cluster(f64);

    #[remote]
    fn centre(cluster: &Cluster) -> f64 {
        cluster.0
    }
}

mod of_points {
    use distwq::prelude::remote;

    #[derive(serde::Serialize, serde::Deserialize)]
    pub struct Cluster(f64);

    #[remote]
    fn centre(cluster: &Cluster, other: Cluster) -> f64 {
        (cluster.0 + other.0) / 2.0
    }
}

fn main() {}
