//! Prints what this plugin is: `launchgate dist` reads it.

fn main() {
    println!("{}", launchgate_canary::describe().to_json());
}
