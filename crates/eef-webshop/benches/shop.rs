//! Steps of a visit, searches and rewards: `cargo bench -p eef-webshop`.
//!
//! Over the 1,000 real products where `EEF_SHARED` names the folder that holds them, else over the
//! crate's ten. `cargo xtask bench webshop` prints the same as one table, beside the original's.
#![expect(clippy::expect_used, reason = "a benchmark that fails has nothing to measure")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use eef_core::{Env, Seed, Split, TaskId};
use eef_webshop::{PrepareRequest, RandomWalk, WebShop, prepare};

fn shop() -> Arc<WebShop> {
    let Some(shared) = std::env::var_os("EEF_SHARED") else {
        return WebShop::sample().expect("the sample");
    };
    let data = PathBuf::from(shared).join("data/webshop");
    let mut request = PrepareRequest::new(
        data.join("items_shuffle_1000.recovered.json"),
        data.join("items_ins_v2_1000.json"),
    );
    request.nouns = Some(data.join("title_nouns.en_core_web_sm-3.6.0.json"));
    let folder = tempfile::tempdir().expect("a folder");
    prepare(&request, folder.path(), &mut |_| {}).expect("the shared products");
    WebShop::open(folder.path()).expect("a shop")
}

/// What random visitors said, 20 replies each at most.
fn replies(shop: &Arc<WebShop>) -> Vec<(TaskId, Vec<String>)> {
    let mut shopper = shop.shopper();
    let n_tasks = shop.goals(Split::Train).len().min(500) as u32;
    let visit = |i| {
        let task = TaskId::new(shop.name(), Split::Train, i);
        let said = RandomWalk::visit(&mut shopper, &task, Seed::new(i.into()), 20);
        (task, said.expect("a task"))
    };
    (0..n_tasks).map(visit).collect()
}

fn benches(criterion: &mut Criterion) {
    let shop = shop();
    let visits = replies(&shop);
    let mut group = criterion.benchmark_group("webshop");
    let n_steps: usize = visits.iter().map(|(_, said)| said.len()).sum();
    group.throughput(Throughput::Elements(n_steps as u64));
    group.bench_function("steps of a random walk", |bencher| {
        let mut shopper = shop.shopper();
        bencher.iter(|| {
            for (task, said) in &visits {
                shopper.reset(task).expect("a task");
                for reply in said {
                    black_box(shopper.step(reply).expect("a step"));
                }
            }
        });
    });

    let goals = shop.goals(Split::Train);
    group.throughput(Throughput::Elements(goals.len() as u64));
    group.bench_function("searches of whole instructions", |bencher| {
        bencher.iter(|| {
            for goal in goals {
                black_box(shop.index().search(&goal.instruction_text));
            }
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    benches(&mut criterion);
    criterion.final_summary();
}
