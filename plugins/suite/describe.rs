//! Prints what this plugin is: `launchgate dist` reads it.

fn main() {
    println!("{}", launchgate_suite::describe().to_json());
}
