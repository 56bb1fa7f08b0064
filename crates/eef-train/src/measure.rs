//! Steps whose result nobody wants.

use eef_llama::Llama;

use crate::gradients::n_parameters;
use crate::groups::check_groups;
use crate::session::Session;
use crate::trainer::{Data, check, with_adapters};
use crate::units::Units;
use crate::{TrainConfig, TrainError, TrainExample, TrainObserver};

/// Does every step of a training in memory, as [`Trainer`](crate::Trainer) does them, and throws the
/// model away: what is left are the reports to the observer. For measurements, which checkpoints of
/// large models would take longer than.
///
/// Steps that are not finite are reported (`updated`) and do not end it.
///
/// # Errors
/// - [`TrainError::Config`] and [`TrainError::Lora`] where the configuration cannot be.
/// - [`TrainError::NoExamples`], [`TrainError::UnknownToken`] and [`TrainError::TooLong`].
/// - [`TrainError::Interrupted`] where the observer asked to stop; nothing is kept.
pub fn measure_steps(
    config: &TrainConfig,
    model: Llama,
    examples: &[TrainExample],
    observer: &mut dyn TrainObserver,
) -> Result<(), TrainError> {
    config.validate()?;
    if examples.is_empty() {
        return Err(TrainError::NoExamples);
    }
    check(&model, Data::Examples(examples))?;
    let model = with_adapters(model, config)?;
    check_groups(&config.groups, &model)?;
    let n_parameters = n_parameters(&model);
    let units = Units::Examples(examples);
    let mut session = Session::started(config, units, &[], n_parameters, String::new())?;
    observer.started(&session.start());
    let done = every_step(&mut session, model, observer);
    observer.ended();
    done
}

fn every_step(
    session: &mut Session<'_>,
    mut model: Llama,
    observer: &mut dyn TrainObserver,
) -> Result<(), TrainError> {
    while session.position.step < session.n_steps {
        if observer.should_stop() {
            let (step, n_steps) = (session.position.step, session.n_steps);
            return Err(TrainError::Interrupted { step, n_steps });
        }
        let report;
        (model, report) = session.step(model)?;
        observer.stepped(&report);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use eef_llama::{LlamaConfig, device};

    use super::*;
    use crate::{StepReport, TrainPaths, Trainer};

    #[derive(Default)]
    struct Losses(Vec<f64>);

    impl TrainObserver for Losses {
        fn stepped(&mut self, report: &StepReport) {
            self.0.push(report.loss);
        }
    }

    #[test]
    fn steps_in_memory_are_those_of_a_training() {
        let folder = tempfile::tempdir().unwrap();
        let init = folder.path().join("init");
        let model = Llama::init(&LlamaConfig::tiny(32), 1, &device("cpu").unwrap()).unwrap();
        model.save(&init).unwrap();
        let example = |token| TrainExample::fully_trained(vec![1, 2, token]).unwrap();
        let examples = [example(3), example(4), example(5)];
        let config = TrainConfig { n_epochs: 3, batch_size: 2, ..TrainConfig::default() };
        let (mut measured, mut trained) = (Losses::default(), Losses::default());
        measure_steps(&config, model, &examples, &mut measured).unwrap();
        let paths = TrainPaths {
            init: &init,
            output: &folder.path().join("output"),
            scratch: &folder.path().join("scratch"),
        };
        let trainer = Trainer::new(config, device("cpu").unwrap()).unwrap();
        trainer.run(&paths, &examples, &mut trained).unwrap();
        assert_eq!(measured.0, trained.0);
        assert_eq!(measured.0.len(), 6);
    }
}
