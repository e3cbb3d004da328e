create index people_name on people (name collate "C", id) where deleted_at is null;
create index people_age on people (age, id) where deleted_at is null;
create index people_fare on people (fare, id) where deleted_at is null;
