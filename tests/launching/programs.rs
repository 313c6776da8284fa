//! The bodies of the programs, by their names.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs the program that this process is to be, and gives its exit code.
pub(super) fn run(program: &str) -> ExitCode {
    let argument = env::var("DISTWQ_TEST_ARGUMENT").unwrap_or_default();
    let wait_for = |cluster: &Cluster, call: Call<()>| -> BodyOutcome {
        // Another task runs meanwhile, so that a rank that ends leaves somebody behind
        // who is busy.
        let bystanders: Vec<_> = (0..20).map(|x| cluster.submit(square::call(x))).collect();
        println!("the task is submitted");
        let end = cluster.submit(call).get();
        bystanders.iter().try_for_each(|handle| handle.get().map(drop))?;
        println!("the task has ended: {end:?}");
        Ok(end?)
    };
    let config = Config::new().workers(2);
    match program {
        "works" | "no controller" => distwq::launch(config, works),
        "fails" => distwq::launch(config, |_| -> Result<(), String> { Err("the body fails".to_owned()) }),
        "fails of something" => distwq::launch(config, |_| -> BodyOutcome { Err(Outer(Inner).into()) }),
        "panics" => distwq::launch(config, |cluster| {
            let busy = cluster.submit(square::call(3));
            assert_eq!(busy.get(), Ok(8), "the body panics");
        }),
        "panics while tasks wait" => distwq::launch(config, |cluster| -> BodyOutcome {
            for x in 0..1000 {
                drop(cluster.submit(square::call(x)));
            }
            panic!("the body panics");
        }),
        "fails while a task runs" => {
            distwq::launch(config.shutdown_grace(Duration::from_secs(1)), |cluster| -> Result<(), TaskError> {
                // The other worker has some to do, and more in its queue.
                let long = cluster.submit(sleeps::call(120.0));
                (0..30).for_each(|_| drop(cluster.submit(sleeps::call(0.1))));
                long.get_timeout(Duration::from_millis(500)).map(drop)
            })
        }
        "exits" => {
            let code: i32 = argument.parse().expect("the argument is the code");
            distwq::launch(config, |cluster| wait_for(cluster, exits::call(code).label("the exit")))
        }
        "body exits" => {
            let code: i32 = argument.parse().expect("the argument is the code");
            distwq::launch(config, |cluster| -> BodyOutcome {
                cluster.submit(square::call(1)).get().expect("one");
                process::exit(code)
            })
        }
        "aborted" => distwq::launch(config, |cluster| -> BodyOutcome {
            let _long = cluster.submit(sleeps::call(120.0));
            let code: i32 = argument.parse().expect("the argument is the code");
            cluster.abort(code)
        }),
        "interrupted" => distwq::launch(config, |cluster| -> BodyOutcome {
            let running: Vec<_> = (0..cluster.workers()).map(|_| cluster.submit(until_cancelled::call())).collect();
            let waiting: Vec<_> = (0..20).map(|x| cluster.submit(square::call(x).after_all(&running))).collect();
            while !running.iter().all(|handle| handle.info().is_running) {
                thread::sleep(Duration::from_millis(1));
            }
            send_to_itself(&argument);
            let is_cancelled = |end: Result<i64, TaskError>| matches!(end, Err(TaskError::Cancelled { .. }));
            assert!(waiting.iter().all(|handle| is_cancelled(handle.get())));
            println!("{} waited", waiting.len());
            // One may not have begun, whatever the controller knew.
            assert!(running.iter().all(|handle| handle.get() == Ok(1) || is_cancelled(handle.get())));
            interrupted::goes_on(cluster);
            Ok(())
        }),
        "interrupted map" => distwq::launch(config, |cluster| -> BodyOutcome {
            interrupted::map(cluster, &argument);
            Ok(())
        }),
        "ignores signals" => distwq::launch(config, |cluster| -> BodyOutcome {
            ["INT", "TERM"].into_iter().for_each(send_to_itself);
            thread::sleep(Duration::from_millis(200));
            assert!(!cluster.is_interrupted());
            works(cluster)
        }),
        "interrupted twice" => distwq::launch(config, |cluster| -> BodyOutcome {
            let long = cluster.submit(sleeps::call(120.0));
            send_to_itself(&argument);
            while long.get_timeout(Duration::from_millis(100)).is_err() {
                send_to_itself(&argument);
            }
            unreachable!("it ends at the second signal")
        }),
        "does not handle signals" => distwq::launch(config.handle_signals(false), |cluster| -> BodyOutcome {
            send_to_itself(&argument);
            Ok(cluster.submit(sleeps::call(120.0)).get()?)
        }),
        "forks" => distwq::launch(config, |cluster| -> BodyOutcome {
            assert_eq!(exit_of_a_child(5), 5);
            assert_eq!(cluster.submit(forks::call(6)).get()?, 6);
            works(cluster)
        }),
        "exits while standard error is locked" => distwq::launch(config, |cluster| -> BodyOutcome {
            let _locked = std::io::stderr().lock();
            Ok(cluster.submit(exits::call(3)).get()?)
        }),
        "body exits while tasks run" => distwq::launch(config, |cluster| -> BodyOutcome {
            let handles: Vec<_> = (0..5).map(|_| cluster.submit(endless::call(&*argument))).collect();
            await_file(&argument);
            // Another thread exits, while this one waits.
            thread::scope(|scope| {
                scope.spawn(|| process::exit(4));
                Ok(handles[0].get()?)
            })
        }),
        "never drains" => distwq::launch(config.shutdown_grace(Duration::from_millis(500)), |cluster| -> BodyOutcome {
            let long = cluster.submit(endless::call(&*argument).label("the long one"));
            for x in 0..20 {
                cluster.submit(square::call(x).after(&long));
            }
            println!("the body returns");
            Ok(())
        }),
        "a callback never returns" => {
            distwq::launch(config.shutdown_grace(Duration::from_millis(500)), |cluster| -> BodyOutcome {
                let handle = cluster.submit(square::call(1).label("the callback's"));
                handle.on_end(|_| thread::sleep(Duration::from_secs(120)));
                Ok(())
            })
        }
        "leaves behind" | "leaves behind and fails" => {
            distwq::launch(config.shutdown_grace(Duration::from_millis(500)), |cluster| -> BodyOutcome {
                let long = cluster.submit(endless::call(&*argument).label("the long one"));
                await_file(&argument);
                let after: Vec<_> = (0..20).map(|x| cluster.submit(square::call(x).after(&long))).collect();
                cluster.shutdown_now();
                assert!(matches!(long.get(), Err(TaskError::Closed { .. })));
                assert!(after.iter().all(|handle| matches!(handle.get(), Err(TaskError::Cancelled { .. }))));
                println!("the body goes on");
                if program == "leaves behind" { Ok(()) } else { Err("the body fails".into()) }
            })
        }
        "never returns" => {
            let (wishes, file) = argument.rsplit_once(' ').expect("the file comes last");
            let has = |wish| wishes.split(' ').any(|word| word == wish);
            let config = config.shutdown_grace(Duration::from_millis(500)).stuck_grace(Duration::from_millis(300));
            distwq::launch(config, |cluster| -> BodyOutcome {
                let call = endless::call(file).label("the long one");
                let limit = Duration::from_millis(200);
                let long = cluster.submit(if has("limit") { call.run_limit(limit) } else { call });
                await_file(file);
                if has("deadline") {
                    Batch::of([&long]).deadline(limit);
                }
                if has("cancel") {
                    long.cancel();
                }
                match () {
                    () if has("shutdown_now") => cluster.shutdown_now(),
                    () if has("shutdown") => cluster.shutdown(),
                    () => {}
                }
                println!("the task ends: {:?}", long.get_timeout(END_LIMIT));
                Ok(())
            })
        }
        "aborts" => distwq::launch(config, |cluster| wait_for(cluster, aborts::call().label("the abort"))),
        "aborts later" => {
            distwq::launch(config, |cluster| wait_for(cluster, aborts_later::call(&*argument).retries(1)))
        }
        "faults" => distwq::launch(config, |cluster| -> BodyOutcome {
            Ok(cluster.submit(reads_where_nothing_is::call().label("the fault")).get().map(drop)?)
        }),
        "overflows" => distwq::launch(config, |cluster| wait_for(cluster, overflows_its_stack::call().label("deep"))),
        "a task panics" => distwq::launch(config, |cluster| {
            let error = cluster.submit(panics::call()).get().expect_err("it panics");
            println!("told: {error}");
        }),
        "panics twice" => distwq::launch(config, |cluster| wait_for(cluster, panics_while_unwinding::call())),
        "endless" => distwq::launch(config, |cluster| -> BodyOutcome {
            let long = cluster.submit(endless::call(&*argument).label("the long one"));
            let others: Vec<_> = (0..20).map(|x| cluster.submit(square::call(x))).collect();
            others.iter().try_for_each(|handle| handle.get().map(drop))?;
            println!("the others have ended");
            Ok(long.get()?)
        }),
        "init fails" => {
            let config = config.try_init(|ctx| if ctx.worker() == 1 { Err("no model") } else { Ok(7_u8) });
            distwq::launch(config, |cluster| {
                let narrow: Vec<_> = (0..20).map(|x| cluster.submit(square::call(x).retries(2))).collect();
                let wide = cluster.submit(members::call());
                let after = cluster.submit(sum::call(&narrow));
                for handle in narrow {
                    let error = handle.get().expect_err("there is no state");
                    assert!(matches!(&error, TaskError::Init { site, .. } if site.attempts == 1), "{error}");
                }
                assert!(matches!(wide.get(), Err(TaskError::Init { .. })));
                assert!(matches!(after.get(), Err(TaskError::Upstream { .. })));
                println!("told: {}", cluster.submit(square::call(1)).get().expect_err("there is no state"));
                let mut endless = cluster.map(square::call, 0..);
                assert!(endless.all(|result| matches!(result, Err(TaskError::Init { .. }))), "it ends");
                assert_eq!(cluster.workers(), 0, "none runs tasks");
                println!("the body goes on");
            })
        }
        "init never returns" => {
            let config = config.init_limit(Duration::from_millis(300)).shutdown_grace(Duration::from_millis(500));
            let config = config.init(|ctx| {
                if ctx.worker() == 1 {
                    thread::sleep(Duration::from_secs(120))
                }
            });
            distwq::launch(config, |cluster| {
                for handle in (0..20).map(|x| cluster.submit(square::call(x))).collect::<Vec<_>>() {
                    println!("told: {}", handle.get().expect_err("there is no state"));
                }
                assert!(matches!(cluster.submit(members::call()).get(), Err(TaskError::Init { .. })));
                assert_eq!(cluster.workers(), 0);
                println!("the body goes on");
            })
        }
        "init fails again" => {
            static INITS: AtomicUsize = AtomicUsize::new(0);
            let twice = |_: &Context| match INITS.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Ok(()),
                _ => Err("the third"),
            };
            distwq::launch(config.try_init(twice).state_lifespan(1), |cluster| {
                assert_eq!(cluster.workers(), 2);
                let handles: Vec<_> = (0..20).map(|x| cluster.submit(square::call(x))).collect();
                let ends: Vec<_> = handles.iter().map(Handle::get).collect();
                assert!(ends.iter().any(Result::is_ok), "{ends:?}");
                let errors: Vec<_> = ends.into_iter().filter_map(Result::err).collect();
                assert!(errors.iter().all(|error| matches!(error, TaskError::Init { .. })), "{errors:?}");
                println!("told: {}", errors.first().expect("the third state is missing"));
                assert!(matches!(cluster.submit(square::call(1)).get(), Err(TaskError::Init { .. })));
                assert_eq!(cluster.workers(), 0);
                println!("the body goes on");
            })
        }
        "init never returns again" | "finish never returns" => {
            let limit = Duration::from_millis(300);
            let config = config.init_limit(limit).finish_limit(limit).shutdown_grace(Duration::from_millis(500));
            let long = |hangs: bool| {
                if hangs {
                    thread::sleep(Duration::from_secs(120))
                }
            };
            let in_init = program == "init never returns again";
            let times = AtomicUsize::new(0);
            let config = config.workers(1).init(move |_| long(in_init && times.fetch_add(1, Ordering::Relaxed) > 0));
            let config = config.finish(move |()| long(!in_init)).state_lifespan(1);
            distwq::launch(config, |cluster| {
                assert_eq!(cluster.submit(square::call(3)).get(), Ok(9));
                let handles: Vec<_> = (0..500).map(|x| cluster.submit(square::call(x))).collect();
                for end in handles.iter().map(Handle::get) {
                    assert!(matches!(end, Err(TaskError::Init { .. })), "{end:?}");
                }
                assert!(matches!(cluster.submit(members::call()).get(), Err(TaskError::Init { .. })));
                assert!(cluster.map(square::call, 0..).all(|result| matches!(result, Err(TaskError::Init { .. }))));
                println!("the body goes on");
            })
        }
        "finish panics" => {
            let config = config.init(Context::worker).finish(|worker| assert!(worker == 0, "no sum"));
            distwq::launch(config, |cluster| {
                assert_eq!(cluster.submit(square::call(3)).get(), Ok(9));
                println!("the body returns");
            })
        }
        #[cfg(feature = "mpi")]
        "stuck" => distwq::launch(config.collective_grace(Duration::from_secs(1)), |cluster| {
            wait_for(cluster, stuck_in_raw_mpi::call().ranks(2))
        }),
        "misconfigured" => distwq::launch(config.piece_bytes(1), works),
        other => panic!("there is no program {other:?}"),
    }
}

/// Waits until a task has made this file.
fn await_file(name: &str) {
    while !Path::new(name).exists() {
        thread::sleep(Duration::from_millis(1));
    }
}
