-- The databases of the shipped routes beside the first one, which the image makes itself.
CREATE DATABASE crm;
CREATE DATABASE jobs;
