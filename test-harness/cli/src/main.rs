//! The `launchgate` command: one module a subcommand.

mod bench;
mod check;
mod configure;
mod demo;
mod dist;
mod exchange;
mod extension;
mod gateway;
mod generate;
mod image;
mod index;
mod inspect;
mod manifest;
mod matrix;
mod output;
mod preflight;
mod registry;
mod render;
mod report;
mod seal;
mod soak;
mod test;

use std::process::ExitCode;

use clap::Parser;

/// Production-readiness plugins for Envoy and Istio: build, test, ship, check.
#[derive(Debug, clap::Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Bench(bench::Args),
    Check(check::Args),
    Image(image::Args),
    Matrix(matrix::Args),
    Preflight(preflight::Args),
    Push(registry::push::Args),
    Registry(registry::Args),
    Demo(demo::Args),
    Dist(dist::Args),
    Gateway(gateway::Args),
    Generate(generate::Args),
    Render(render::Args),
    Seal(seal::Args),
    Soak(soak::Args),
    Inspect(inspect::Args),
    Run(exchange::Args),
    Test(test::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("launchgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Bench(args) => bench::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Matrix(args) => matrix::run(&args),
        Command::Preflight(args) => Ok(preflight::run(&args)),
        Command::Push(args) => registry::push::run(&args),
        Command::Registry(args) => registry::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Gateway(args) => gateway::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Seal(args) => seal::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Run(args) => exchange::run(&args),
        Command::Test(args) => test::run(&args),
    }
}
