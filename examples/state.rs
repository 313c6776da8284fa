//! A state for each slot: every worker sieves the primes once and keeps them, and the
//! tasks look them up. Afterwards the figures say where the time went, and in the end
//! each tells how often it was asked.

use distwq::prelude::*;

const LIMIT: usize = 1_000_000;

/// The primes below [`LIMIT`].
struct Primes {
    is_prime: Vec<bool>,
    looked_up: u64,
}

impl Primes {
    /// The sieve of Eratosthenes.
    fn sieve(_: &Context) -> Self {
        let mut is_prime = vec![true; LIMIT];
        is_prime[..2].fill(false);
        for n in (2..).take_while(|n| n * n < LIMIT) {
            if is_prime[n] {
                (n * n..LIMIT).step_by(n).for_each(|multiple| is_prime[multiple] = false);
            }
        }
        Self { is_prime, looked_up: 0 }
    }

    fn contains(&mut self, n: usize) -> bool {
        self.looked_up += 1;
        self.is_prime.get(n).copied().unwrap_or(false)
    }
}

/// How many pairs of primes that differ by 2 have their first from `first` on, among so
/// many numbers.
#[remote]
fn twins(ctx: &Context, first: usize, count: usize) -> usize {
    let mut primes = ctx.state::<Primes>();
    (first..first + count).filter(|&n| primes.contains(n) && primes.contains(n + 2)).count()
}

#[distwq::main(config = Config::new().init(Primes::sieve).finish(|primes| primes.looked_up))]
fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let count = LIMIT / 50;
    let tasks: Vec<_> = (0..LIMIT).step_by(count).map(|first| cluster.submit(twins::call(first, count))).collect();
    let pairs = tasks.iter().map(Handle::get).sum::<Result<usize, _>>()?;
    assert_eq!(pairs, 8_169);

    let stats = cluster.stats();
    println!("{stats}"); // by function and by rank: how often, how long, in init, working, waiting
    assert_eq!((stats.functions[0].runs.count, stats.functions[0].runs.failures), (50, 0));
    assert!(stats.ranks[1..].iter().all(|worker| !worker.in_init.is_zero()), "each worker has sieved");

    let looked_up: Vec<u64> = cluster.finish()?; // one for each worker
    let primes = 78_498;
    assert_eq!(looked_up.iter().sum::<u64>(), LIMIT as u64 + primes);
    println!("{pairs} pairs below {LIMIT}; each worker was asked {looked_up:?} times");
    Ok(())
}
