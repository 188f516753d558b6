//! Times every case of the hot path: `cargo bench --manifest-path perf/micro/Cargo.toml`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn hot_path(criterion: &mut Criterion) {
    for (name, make) in micro::cases() {
        let (part, what) = name.split_once('/').expect("names have two parts");
        let mut case = make();
        let mut group = criterion.benchmark_group(part);
        if case.bytes > 0 {
            group.throughput(Throughput::Bytes(case.bytes as u64));
        }
        group.bench_function(what, |bencher| bencher.iter(|| (case.run)()));
        group.finish();
    }
}

criterion_group!(benches, hot_path);
criterion_main!(benches);
