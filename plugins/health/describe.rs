//! Prints what this plugin is: `launchgate dist` reads it.

fn main() {
    println!("{}", launchgate_health::describe().to_json());
}
