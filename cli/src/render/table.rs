//! The table of `fleet ps`, for a terminal and for a pipe.

use fleet_domain::fleet::AgentView;

use super::Scene;
use super::columns::Column;
use super::grid::{Cell, Fitted, Grid, Head};
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

/// Fitted to the terminal; host and tenant come by themselves where there are several, a column that says nothing goes.
pub fn fitted(agents: &[&AgentView], plan: &Plan, scene: &Scene, width: usize) -> Fitted {
    let mut columns = plan.columns.clone();
    if !plan.chosen {
        add_where_several(&mut columns, Column::Host, agents, scene);
        add_where_several(&mut columns, Column::Tenant, agents, scene);
    }
    let mut grid = grid(agents, &columns, scene);
    if !plan.chosen {
        drop_silent(&mut grid, &columns);
    }
    grid.fitted(width, plan.headers, scene.colour)
}

fn grid(agents: &[&AgentView], columns: &[Column], scene: &Scene) -> Grid {
    let head = |column: &Column| Head {
        title: column.name().to_ascii_uppercase(),
        align: column.align(),
        fit: column.fit(),
    };
    let row = |agent: &&AgentView| columns.iter().map(|column| column.cell(agent, scene)).collect();
    Grid { heads: columns.iter().map(head).collect(), rows: agents.iter().map(row).collect() }
}

fn add_where_several(columns: &mut Vec<Column>, column: Column, agents: &[&AgentView], scene: &Scene) {
    let value = |agent: &&AgentView| column.cell(agent, scene).text;
    let first = agents.first().map(value);
    if agents.iter().any(|agent| Some(value(agent)) != first) {
        columns.insert(1, column);
    }
}

/// A column that tells nothing of anybody; that systemd is unknown to all is said once, in a note.
fn drop_silent(grid: &mut Grid, columns: &[Column]) {
    let silent_word = |column: usize| if columns[column] == Column::Unit { "unknown" } else { NONE };
    let says_nothing = |column: usize| {
        grid.rows.iter().all(|row| row.get(column).is_none_or(|cell: &Cell| cell.text == silent_word(column)))
    };
    let silent: Vec<usize> = (0..grid.heads.len()).filter(|column| says_nothing(*column)).collect();
    for column in silent.into_iter().rev() {
        grid.heads.remove(column);
        for row in &mut grid.rows {
            row.remove(column);
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
