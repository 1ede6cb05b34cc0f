-- The number that its owner was given with it: who comes later has a greater one, and writes by it alone.
ALTER TABLE account ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
