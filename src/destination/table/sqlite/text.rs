//! Values as SQLite keeps them: dates and times are text, of one width so that they sort as they should.

const DAY: i64 = 86_400_000_000;

/// `2024-06-30`.
pub(super) fn date(days: i64) -> Result<String, String> {
    // Howard Hinnant's `civil_from_days`: years begin in March, eras have 400 of them.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        return Err(format!("the year {year}, which text dates of four digits have not"));
    }
    Ok(format!("{year:04}-{month:02}-{day:02}"))
}

/// `20:40:35.000000`.
pub(super) fn time(micros: i64) -> Result<String, String> {
    if !(0..DAY).contains(&micros) {
        return Err("a time outside of a day".to_owned());
    }
    let seconds = micros / 1_000_000;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Ok(format!("{h:02}:{m:02}:{s:02}.{:06}", micros % 1_000_000))
}

/// `2024-06-30T20:40:35.000000`.
pub(super) fn date_time(micros: i64) -> Result<String, String> {
    Ok(format!("{}T{}", date(micros.div_euclid(DAY))?, time(micros.rem_euclid(DAY))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_width_so_that_text_sorts_as_time() {
        assert_eq!(date_time(0).unwrap(), "1970-01-01T00:00:00.000000");
        assert_eq!(date_time(-1).unwrap(), "1969-12-31T23:59:59.999999");
        assert_eq!(date_time(1_719_780_035_120_000).unwrap(), "2024-06-30T20:40:35.120000");
        assert_eq!(date(-719_162).unwrap(), "0001-01-01");
        assert_eq!(date(11_016).unwrap(), "2000-02-29");
        assert!(date(i64::from(i32::MAX)).is_err());
        assert!(date_time(i64::MIN).is_err());
        assert!(time(-1).is_err() && time(DAY).is_err());
    }
}
