//! Prints what this plugin is: `launchgate dist` reads it.

fn main() {
    println!("{}", launchgate_metrics::describe().to_json());
}
