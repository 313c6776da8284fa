//! Forms of `main` that cannot be.

use distwq::prelude::*;

mod no_parameter {
    #[distwq::main]
    fn main() {}
}

mod by_value {
    use distwq::prelude::*;

    #[distwq::main]
    fn main(_: Cluster) {}
}

mod mutable {
    use distwq::prelude::*;

    #[distwq::main]
    fn main(_: &mut Cluster) {}
}

mod two_parameters {
    use distwq::prelude::*;

    #[distwq::main]
    fn main(_: &Cluster, _: Vec<String>) {}
}

mod asynchronous {
    use distwq::prelude::*;

    #[distwq::main]
    async fn main(_: &Cluster) {}
}

mod generic {
    use distwq::prelude::*;

    #[distwq::main]
    fn main<T>(_: &Cluster) {}
}

mod misspelt {
    use distwq::prelude::*;

    #[distwq::main(workers = 3)]
    fn main(_: &Cluster) {}
}

mod another_name {
    use distwq::prelude::*;

    #[distwq::main]
    fn start(_: &Cluster) {}
}

mod no_function {
    #[distwq::main]
    struct Main;
}

#[distwq::main]
fn main(_: &Cluster) {}
