//! The table of `fleet ps`, for a terminal and for a pipe.

use std::mem::ManuallyDrop;

use fleet_domain::fleet::AgentView;

use super::Scene;
use super::columns::Column;
use super::grid::{Fitted, Grid, Head};
use super::words::NONE;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub columns: Vec<Column>,
    /// The user named the columns: none is added, and none is left out for being empty.
    pub chosen: bool,
    pub headers: bool,
}

impl Plan {
    pub fn of(columns: &[Column], wide: bool, headers: bool) -> Self {
        let chosen = !columns.is_empty();
        let preset: &[Column] = if wide { &Column::WIDE } else { &Column::NORMAL };
        Self { columns: if chosen { columns } else { preset }.to_vec(), chosen: chosen || wide, headers }
    }
}

/// The same columns whatever they hold: scripts count them.
pub fn plain(agents: &[&AgentView], plan: &Plan, scene: &Scene) -> String {
    grid(agents, &plan.columns, scene).plain(plan.headers, scene.colour)
}

/// The same where the process ends after it: giving back the cells one by one would only delay that.
pub fn last(agents: &[&AgentView], plan: &Plan, scene: &Scene) -> String {
    let grid = ManuallyDrop::new(grid(agents, &plan.columns, scene));
    grid.plain(plan.headers, scene.colour)
}

/// Fitted to the terminal; host and tenant come by themselves where there are several, a column that says nothing goes.
pub fn fitted(agents: &[&AgentView], plan: &Plan, scene: &Scene, width: usize) -> Fitted {
    let mut columns = plan.columns.clone();
    if !plan.chosen {
        add_where_several(&mut columns, Column::Host, agents, scene);
        add_where_several(&mut columns, Column::Tenant, agents, scene);
    }
    let mut grid = grid(agents, &columns, scene);
    if !plan.chosen {
        hide_silent(&mut grid, &columns);
    }
    grid.fitted(width, plan.headers, scene.colour)
}

fn grid<'a>(agents: &[&'a AgentView], columns: &[Column], scene: &Scene) -> Grid<'a> {
    let head = |column: &Column| Head {
        title: column.name().to_ascii_uppercase(),
        align: column.align(),
        fit: column.fit(),
    };
    let mut grid = Grid::new(columns.iter().map(head).collect(), agents.len());
    for agent in agents {
        grid.push(columns.iter().map(|column| column.cell(agent, scene)));
    }
    grid
}

fn add_where_several(columns: &mut Vec<Column>, column: Column, agents: &[&AgentView], scene: &Scene) {
    let first = agents.first().map(|agent| column.text(agent, scene));
    if agents.iter().any(|agent| Some(column.text(agent, scene)) != first) {
        columns.insert(1, column);
    }
}

/// A column that tells nothing of anybody; that systemd is unknown to all is said once, in a note.
fn hide_silent(grid: &mut Grid<'_>, columns: &[Column]) {
    for (place, column) in columns.iter().enumerate() {
        let silent = if *column == Column::Unit { "unknown" } else { NONE };
        if grid.rows().all(|row| row.get(place).is_none_or(|cell| cell.text() == silent)) {
            grid.hide(place);
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
