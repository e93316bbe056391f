//! Prints what this plugin is: `launchgate dist` reads it.

fn main() {
    println!("{}", launchgate_tls::describe().to_json());
}
