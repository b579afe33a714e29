mod fleet;

mod campaign;
mod decide;
mod hostile;
mod owners;
